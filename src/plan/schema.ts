// The shape of `vram plan --json` as a zod schema: the source of `vram schema plan` and of the test that validates every
// ground-truth plan against it. types.ts and output.ts are the same shape for the compiler.
import { z } from 'zod';
import { envelopeSchema } from './envelope-schema.ts';
import { layoutGoals } from './parallel/types.ts';
import { placementRoles } from './placement/types.ts';
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

const communication = z
  .strictObject({
    bytesPerToken: bytes,
    replicaBytesPerToken: bytes,
    tensorBytes: bytes,
    pipelineBytes: bytes,
    expertBytes: bytes,
    contextBytes: bytes,
  })
  .describe('what a rank sends for a generated token, on the stage that sends most; counted as ring collectives');

const layouts = z.strictObject({
  gpus: count,
  goal: z.enum(layoutGoals),
  chosen: z.string().nullable().describe('the layout of this plan; null: none fits'),
  context: count,
  shape: z.strictObject({ concurrency: count, promptTokens: count, outputTokens: count }),
  ranked: z.array(
    z.strictObject({
      layout: z.string(),
      tp: count,
      pp: count,
      dp: count,
      dcp: count,
      ep: z.boolean(),
      gpus: count,
      kvTokens: count,
      sequences: count,
      headroomBytes: z.int(),
      communication,
      ttftSeconds: z.number().nullable(),
      tpotSeconds: z.number().nullable(),
      requestSeconds: z.number().nullable(),
      decodeTokensPerSecond: z.number().nullable(),
    }),
  ),
  rejected: z.array(
    z.strictObject({
      layout: z.string(),
      kind: z.enum(['engine', 'memory', 'requirement']),
      reason: z.string(),
      shortfallBytes: bytes.optional(),
    }),
  ),
  byCapacity: z.array(z.string()),
  byLatency: z.array(z.string()),
  byCommunication: z.array(z.string()),
});

const rate = z.number().nonnegative();
const pool = z.strictObject({
  servers: count,
  gpu: z.string(),
  gpusPerServer: count,
  fits: z.boolean(),
  kvTokens: count,
  sequences: count.describe('of a prompt and its answer, on one server'),
  requestsPerSecond: rate.describe('the most that the pool does'),
  utilization: rate,
  command: z.string(),
});
const serving = z.strictObject({
  requestsPerSecond: rate.describe('the most that it sustains'),
  ttftSeconds: rate.nullable(),
  tpotSeconds: rate.nullable(),
});
const disaggregation = z.strictObject({
  connector: z.string(),
  promptTokens: count,
  outputTokens: count,
  requestsPerSecond: rate.describe('of the comparison'),
  prefill: pool,
  decode: pool,
  transfer: z.strictObject({
    bytesPerPrompt: bytes,
    link: z.enum(['nvlink', 'pcie', 'network']),
    bytesPerSecond: rate,
    seconds: rate,
    source: z.string(),
  }),
  balance: z.strictObject({ prefill: count, decode: count, requestsPerSecond: rate, ratio: rate }),
  disaggregated: serving,
  aggregated: serving.describe('the same GPUs, every server doing both'),
  pays: z.boolean(),
  because: z.string(),
  uncertaintyShare: rate,
  assumptions: z.array(z.string()),
});

const shareFields = { first: z.number().nonnegative(), count: z.number().nonnegative(), of: count };
const blockRanges = z.array(z.tuple([count, count]));
const roleBytes = z.partialRecord(z.enum(placementRoles), bytes);

const placement = z.strictObject({
  ranks: z
    .array(
      z.strictObject({
        rank: count,
        gpu: z.string(),
        stage: count,
        tensorRank: count,
        layers: z.strictObject(shareFields),
        heads: z.strictObject(shareFields).nullable(),
        kvHeads: z.strictObject({ ...shareFields, copies: z.number().min(1) }).nullable(),
        contextShare: z.strictObject({ index: count, of: count }).nullable(),
        vocabulary: z
          .strictObject({ ...shareFields, padding: count, embedding: z.boolean(), head: z.boolean() })
          .nullable(),
        experts: z.strictObject({ ...shareFields, cut: count }).nullable(),
        bytes: roleBytes.describe('sums to tensorBytes'),
        tensorBytes: bytes,
      }),
    )
    .describe('vLLM: the ranks of one replica')
    .optional(),
  devices: z
    .array(
      z.strictObject({
        device: z.string(),
        blocks: blockRanges,
        output: z.boolean(),
        overrides: z.array(z.strictObject({ tensors: z.string(), blocks: blockRanges })),
        tensors: count,
        bytes: roleBytes,
        tensorBytes: bytes,
      }),
    )
    .describe('llama.cpp')
    .optional(),
});

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
  suggestions: z.array(
    z.strictObject({
      change: z.string(),
      effect: z.string(),
      flags: z.array(flag),
      environment: z.record(z.string(), z.string()).describe('variables that the command needs').optional(),
      command: z.string().optional(),
    }),
  ),
  matrix: z
    .strictObject({
      contexts: z.array(count),
      concurrencies: z.array(count),
      fits: z.array(z.array(z.boolean())),
      maxConcurrency: z.array(count),
    })
    .optional(),
  layouts: layouts.describe('--auto-parallel: every layout of the GPUs, planned').optional(),
  disaggregation: disaggregation.describe('--disaggregate: estimates').optional(),
  placement: placement.describe('--placement: what sits where').optional(),
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

export const planOutputSchema = envelopeSchema('plan', inputSchema, plan);
