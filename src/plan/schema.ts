// The shape of `vram plan --json` as a zod schema: the source of `vram schema plan` and of the test that validates every
// ground-truth plan against it. types.ts and output.ts are the same shape for the compiler.
import { z } from 'zod';
import { severities } from '../diagnostics.ts';
import { bufferKinds, confidences, itemIds } from './types.ts';

const bytes = z.int().nonnegative().describe('bytes');
const signedBytes = z.int().describe('bytes; only free may be negative, by as much as the GPU lacks');
const count = z.int().nonnegative();

const item = z.strictObject({
  id: z.enum(itemIds),
  bytes: signedBytes,
  lowBytes: signedBytes,
  highBytes: signedBytes,
  formula: z.string(),
  source: z.string(),
  confidence: z.enum(confidences),
});

const device = z.strictObject({
  rank: count,
  gpu: z.string(),
  totalBytes: bytes,
  budgetBytes: bytes.describe('what the engine allows itself: total x utilization'),
  weights: z.strictObject({ tensorBytes: bytes, loadedBytes: bytes }),
  items: z.array(item).describe('leaves; they sum to totalBytes'),
});

const flag = z.strictObject({
  flag: z.string(),
  value: z.string().nullable(),
  because: z.string(),
  list: z.boolean().optional(),
});

const places = z.record(z.string().regex(/^(?:gpu\d+|pinned|cpu|mapped|repack)$/), z.number().nonnegative());
const buffers = z.partialRecord(z.enum(bufferKinds), places);

const speed = z.strictObject({
  tokensPerSecond: z.number().nonnegative(),
  lowTokensPerSecond: z.number().nonnegative(),
  highTokensPerSecond: z.number().nonnegative(),
  bound: z.enum(['memory', 'compute', 'network', 'PCIe', 'host', 'overhead']),
});

const kvGroup = z.strictObject({ kind: z.string(), layers: count, blockSize: count, pageBytes: bytes, count });

const plan = z.strictObject({
  verdict: z.strictObject({
    fits: z.boolean(),
    capacityFits: z.boolean(),
    headroomBytes: z.int(),
    headroomGiB: z.number(),
    shortfallBytes: bytes.optional(),
    reason: z.string().nullable(),
    engineError: z.string().nullable(),
  }),
  devices: z.array(device).min(1),
  kvCache: z.strictObject({
    bytes,
    blockSize: count,
    numBlocks: count,
    tokens: count,
    maxConcurrency: z.number().nonnegative(),
    maxModelLen: count,
    bytesPerBlock: bytes,
    bytesPerToken: z.number().nonnegative(),
    groups: z.array(kvGroup),
    figures: z.array(
      z.strictObject({ figure: z.string(), formula: z.string(), source: z.string(), confidence: z.enum(confidences) }),
    ),
  }),
  workload: z
    .strictObject({
      context: count,
      concurrency: count,
      fits: z.boolean(),
      maxConcurrencyAtContext: count,
      maxContextAtConcurrency: count,
    })
    .nullable(),
  startupLog: z.array(z.string()),
  flags: z.array(flag),
  command: z.string(),
  suggestions: z.array(z.strictObject({ change: z.string(), effect: z.string(), flags: z.array(flag) })),
  matrix: z
    .strictObject({
      contexts: z.array(count),
      concurrencies: z.array(count),
      fits: z.array(z.array(z.boolean())),
      maxConcurrency: z.array(count),
    })
    .optional(),
  buffers: buffers.describe('llama.cpp: MiB as it prints them').optional(),
  buffersBytes: buffers.describe('llama.cpp: exact bytes').optional(),
  draft: z
    .strictObject({ model: z.string().nullable(), contexts: count.min(1), buffers, buffersBytes: buffers })
    .describe('llama.cpp: a draft model, or (null) the blocks of multi-token prediction; all its contexts together')
    .optional(),
  projector: z
    .strictObject({ modelBytes: bytes, computeBytes: bytes, largestBytes: bytes, place: z.enum(['gpu0', 'cpu']) })
    .describe('llama.cpp: the multimodal projector; computeBytes is for the picture of its warm-up')
    .optional(),
  fit: z
    .strictObject({
      status: z.enum(['success', 'failure', 'error']),
      nCtx: count,
      askedCtx: count.optional(),
      ngl: count.nullable(),
      tensorSplit: z.array(z.number().nonnegative()).optional(),
      overrides: z.array(z.string()).optional(),
    })
    .optional(),
  offload: z
    .strictObject({
      gpuLayers: count,
      layers: count,
      mostGpuLayers: count.nullable(),
      largestContext: count.nullable(),
      leastCpuMoeLayers: count.nullable().optional(),
    })
    .optional(),
  speed: z
    .strictObject({
      decode: speed,
      prefill: speed,
      sequences: count,
      context: count,
      promptTokens: count,
      assumptions: z.array(z.string()),
    })
    .describe('estimates')
    .optional(),
  ollama: z
    .strictObject({
      llamaCppBuild: z.string(),
      numCtx: count,
      numParallel: count,
      numBatch: count,
      placement: z.enum(['cpu', 'only gpu', 'one of several', 'spread']),
      gpus: z.array(count),
      predictedBytes: bytes,
      availableBytes: bytes,
      predictedToFit: z.boolean(),
      arguments: z.array(z.string()),
      modelfile: z.string(),
      environment: z.array(z.string()),
    })
    .optional(),
  deployment: z
    .strictObject({
      id: z.string(),
      name: z.string(),
      intent: z.string(),
      corrects: z.string().nullable().describe('the deployment that this one corrects'),
      changes: z.array(z.string()),
      claims: z.array(
        z.strictObject({
          what: z.string(),
          claimed: z.string(),
          planned: z.string().nullable().describe('null: nothing in a plan tells it'),
          verdict: z.enum(['right', 'wrong', 'unverifiable']),
          because: z.string(),
        }),
      ),
      sources: z.array(z.string()),
      notes: z.array(z.string()),
    })
    .describe('of a plan made with --deployment')
    .optional(),
});

export const inputSchema = z.strictObject({
  model: z.strictObject({
    id: z.string(),
    name: z.string(),
    hfId: z.string().nullable(),
    served: z.string().describe('the repository or path that the generated command serves'),
    architecture: z.string(),
    parameters: count,
    activeParameters: count,
    scheme: z.string(),
    source: z.string().nullable(),
  }),
  gpu: z.strictObject({
    id: z.string(),
    name: z.string(),
    vendor: z.string(),
    count: count.min(1),
    driverTotalBytes: bytes,
    cudaTotalBytes: bytes,
    computeCapability: z.string().nullable(),
    nodes: z
      .array(z.strictObject({ id: z.string(), name: z.string(), gpus: count.min(1), nvlinkDomain: count.min(1) }))
      .describe('the machines that the GPUs are in, where some were named')
      .optional(),
  }),
  engine: z.strictObject({
    id: z.string(),
    name: z.string(),
    version: z.string(),
    release: z.string(),
    options: z.record(z.string(), z.unknown()),
  }),
  parallel: z.strictObject({ tp: count.min(1), pp: count.min(1), dp: count.min(1), ep: count.min(1) }),
});

const diagnostic = z.strictObject({
  severity: z.enum(severities),
  code: z.string().regex(/^VRAM\d{3}$/),
  message: z.string(),
  hint: z.string().optional(),
  path: z.string().optional(),
});

export const planOutputSchema = z.strictObject({
  schemaVersion: z.literal(1),
  tool: z.strictObject({ name: z.literal('vram'), version: z.string() }),
  command: z.literal('plan'),
  input: inputSchema,
  result: plan,
  diagnostics: z.array(diagnostic),
});
