// Compute buffers of a run, to the byte: builds the graphs that llama.cpp reserves, lets the scheduler split them and the graph
// allocator place them; each buffer is as large as the largest of them needs. Law: src/llama-context.cpp (sched_reserve).
import { GraphAbort } from '../aborts.ts';
import type { ComputeBuffers, GraphInput } from '../types.ts';
import { allocate } from './allocator.ts';
import { bertBuilders } from './bert.ts';
import { blockSparseBuilders } from './block-sparse.ts';
import { type Batch, Build, type GraphBuilder } from './build.ts';
import { cohereBuilders } from './cohere.ts';
import { deciBuilders } from './deci.ts';
import { decoderBuilders } from './decoders.ts';
import { deepseekBuilders } from './deepseek.ts';
import { deepseek4Builders } from './deepseek4.ts';
import { denseBuilders } from './dense.ts';
import { diffusionBuilders } from './diffusion.ts';
import { encoderBuilders } from './encoders.ts';
import { gatedBuilders } from './gated.ts';
import { gemmaBuilders } from './gemma.ts';
import { gemma3nBuilders } from './gemma3n.ts';
import { gemma4Builders } from './gemma4.ts';
import { glmMoeBuilders } from './glm-moe.ts';
import { gptOssBuilders } from './gpt-oss.ts';
import { graniteBuilders } from './granite.ts';
import { hybridBuilders } from './hybrid.ts';
import { jambaBuilders } from './jamba.ts';
import { kimiK3Builders } from './kimi-k3.ts';
import { kimiBuilders } from './kimi-linear.ts';
import { latentBuilders } from './latent.ts';
import { lfm2Builders } from './lfm2.ts';
import { mambaBuilders } from './mamba.ts';
import { lightningBuilders } from './minimax-01.ts';
import { moeBuilders } from './moe.ts';
import { draftingBuilders } from './nextn.ts';
import { olderBuilders } from './older.ts';
import { phiBuilders } from './phi.ts';
import { poolEmbeddings } from './pooling.ts';
import { qwen35Builders } from './qwen35.ts';
import { checkRoom } from './room.ts';
import { graphRules } from './rules.ts';
import { rwkvBuilders } from './rwkv.ts';
import { type Schedule, schedule } from './scheduler.ts';
import { amongGpus, withOnlyGpu } from './single-gpu.ts';
import { sparseBuilders } from './sparse.ts';
import { t5Builders } from './t5.ts';

/** By general.architecture. */
export const architectures: Readonly<Record<string, GraphBuilder>> = {
  ...denseBuilders,
  ...decoderBuilders,
  ...gemmaBuilders,
  ...gemma3nBuilders,
  ...gemma4Builders,
  ...phiBuilders,
  ...cohereBuilders,
  ...mambaBuilders,
  ...hybridBuilders,
  ...lfm2Builders,
  ...jambaBuilders,
  ...rwkvBuilders,
  ...kimiBuilders,
  ...kimiK3Builders,
  ...encoderBuilders,
  ...qwen35Builders,
  ...bertBuilders,
  ...gptOssBuilders,
  ...glmMoeBuilders,
  ...deepseekBuilders,
  ...moeBuilders,
  ...gatedBuilders,
  ...sparseBuilders,
  ...blockSparseBuilders,
  ...lightningBuilders,
  ...olderBuilders,
  ...graniteBuilders,
  ...deepseek4Builders,
  ...diffusionBuilders,
  ...latentBuilders,
  ...deciBuilders,
  ...t5Builders,
};

/** Copies of every input that the scheduler keeps with pipeline parallelism (GGML_SCHED_MAX_COPIES). */
const pipelineCopies = 4;

interface Reserved {
  bytes: number[];
  nodes: number;
  plan: Schedule;
}

/** undefined: the architecture's graph is not known. */
export function computeBuffers(asked: GraphInput): ComputeBuffers | undefined {
  const input = withOnlyGpu(asked);
  const { devices } = input.placement;
  const builder = builderOf(input);
  if (!builder) return undefined;
  const byName = new Map(input.model.tensors.map((t) => [t.name, t]));
  const asBatch = (batch: Batch) => reserve(new Build(input, batch, byName), builder);
  const [prompt, single] = batches(input).map(asBatch) as [Reserved, Reserved];
  const counted = input.measuring ? [prompt] : [prompt, single, ...wholeBatches(input).map(asBatch)];
  const most = prompt.bytes.map((_, i) => Math.max(...counted.map(({ bytes }) => bytes[i]!)));
  const buffers: ComputeBuffers = {
    gpus: most.slice(0, devices),
    host: most[devices]!,
    nodes: prompt.nodes,
    splits: prompt.plan.splits,
    singleSplits: single.plan.splits,
    copies: copiesOf(input),
    confidence: 'exact',
  };
  return amongGpus(buffers, asked);
}

/** The prompt's graph (or a single token's) as the allocator sees it: for comparing with a traced one. */
export function plannedGraph(asked: GraphInput, which: 'prompt' | 'single' = 'prompt'): Schedule | undefined {
  const input = withOnlyGpu(asked);
  const builder = builderOf(input);
  if (!builder) return undefined;
  const batch = batches(input)[which === 'prompt' ? 0 : 1]!;
  const byName = new Map(input.model.tensors.map((t) => [t.name, t]));
  return reserve(new Build(input, batch, byName), builder).plan;
}

function builderOf({ hparams, drafting }: GraphInput): GraphBuilder | undefined {
  const builders = drafting ? draftingBuilders : architectures;
  return Object.hasOwn(builders, hparams.architecture) ? builders[hparams.architecture] : undefined;
}

/** Pipeline parallelism: several GPUs hold every layer whole and every cache, and no tensor lies elsewhere. */
function copiesOf({ placement, context }: GraphInput): number {
  const whole = placement.devices > 1 && placement.full && !placement.rowShares;
  return whole && context.offloadKqv ? pipelineCopies : 1;
}

/** The worst-case batch of a prompt, and one token per sequence. */
function batches({ context, measuring, rules }: GraphInput): [Batch, Batch] {
  const { wholeBatch, reservedSequences, forgetsPins } = graphRules(rules);
  const counts = { one: 1, streams: context.kvUnified ? 1 : context.nSeqMax, all: context.nSeqMax };
  const sequences = counts[reservedSequences.prompt];
  const most = Math.min(context.nCtx, context.nUbatch);
  const round = wholeBatch === 'down' ? Math.floor : Math.ceil;
  const tokens = round(most / sequences) * sequences;
  const asked = Math.min(most, context.nOutputsMax);
  const outputs = wholeBatch === 'upWithOutputs' ? Math.max(asked, tokens) : Math.min(asked, tokens);
  const single = counts[reservedSequences.single];
  return [
    { tokens, sequences, outputs, unpinned: forgetsPins || measuring },
    { tokens: single, sequences: single, outputs: single, unpinned: forgetsPins },
  ];
}

/** Where a graph grows with the tokens of one sequence, a prompt of one sequence is reserved as well. */
function wholeBatches({ context, hparams, rules }: GraphInput): Batch[] {
  const listed = rules['recurrent.reservesWhole'] as readonly string[];
  if (context.nSeqMax === 1 || !listed.includes(hparams.architecture)) return [];
  const tokens = Math.min(context.nCtx, context.nUbatch);
  // Attention still gives every stream of the cache an equal part of them.
  if (!context.kvUnified && tokens % context.nSeqMax !== 0) {
    throw new GraphAbort('GGML_ASSERT(ggml_can_repeat(b, a)) failed');
  }
  return [{ tokens, sequences: 1, outputs: Math.min(tokens, context.nOutputsMax) }];
}

function reserve(build: Build, builder: GraphBuilder): Reserved {
  builder(build);
  poolEmbeddings(build);
  checkRoom(build);
  const { input } = build;
  const { devices } = input.placement;
  const nodes = build.nodes.length;
  const rules = graphRules(input.rules);
  const opOffload = input.context.opOffload || rules.alwaysOffloads;
  const plan = schedule({ graph: build, devices, copies: copiesOf(input), opOffload, rules });
  const bytes = allocate({
    schedule: plan,
    tensors: build.tensors.length,
    backends: devices + 1,
    flash: rules.flash,
    returnsRest: rules.returnsRest,
  });
  return { bytes, nodes, plan };
}
