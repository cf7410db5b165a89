// Compute buffers of a run, to the byte: builds the graphs that llama.cpp reserves, lets the scheduler split them and the graph
// allocator place them; each buffer is as large as the largest of them needs. Law: src/llama-context.cpp (sched_reserve).
import type { ComputeBuffers, GraphInput } from '../types.ts';
import { allocate } from './allocator.ts';
import { type Batch, Build, type GraphBuilder } from './build.ts';
import { denseBuilders } from './dense.ts';
import { graphRules } from './rules.ts';
import { schedule } from './scheduler.ts';

/** By general.architecture. */
export const architectures: Readonly<Record<string, GraphBuilder>> = { ...denseBuilders };

/** Copies of every input that the scheduler keeps with pipeline parallelism (GGML_SCHED_MAX_COPIES). */
const pipelineCopies = 4;

interface Reserved {
  bytes: number[];
  nodes: number;
  splits: number;
}

/** undefined: the architecture's graph is not known. */
export function computeBuffers(input: GraphInput): ComputeBuffers | undefined {
  const { devices } = input.placement;
  const builder = Object.hasOwn(architectures, input.hparams.architecture)
    ? architectures[input.hparams.architecture]
    : undefined;
  if (!builder) return undefined;
  const byName = new Map(input.model.tensors.map((t) => [t.name, t]));
  const copies = devices > 1 && input.placement.full && input.context.offloadKqv ? pipelineCopies : 1;
  const reserved = batches(input).map((batch) => reserve(new Build(input, batch, byName), builder, copies));
  const [prompt] = reserved as [Reserved];
  const most = prompt.bytes.map((_, i) => Math.max(...reserved.map((r) => r.bytes[i]!)));
  return {
    gpus: most.slice(0, devices),
    host: most[devices]!,
    nodes: prompt.nodes,
    splits: prompt.splits,
    singleSplits: reserved[1]!.splits,
    copies,
    confidence: 'exact',
  };
}

/** The worst-case batch of a prompt, and one token per sequence. */
function batches({ context }: GraphInput): Batch[] {
  const sequences = context.nSeqMax;
  const tokens = Math.min(context.nCtx, context.nUbatch);
  const whole = Math.ceil(tokens / sequences) * sequences;
  return [
    { tokens: whole, sequences, outputs: Math.min(tokens, context.nOutputsMax) },
    { tokens: sequences, sequences, outputs: sequences },
  ];
}

function reserve(build: Build, builder: GraphBuilder, copies: number): Reserved {
  builder(build);
  const { devices } = build.input.placement;
  const nodes = build.nodes.length;
  const rules = graphRules(build.input.rules);
  const plan = schedule({ graph: build, devices, copies, opOffload: build.context.opOffload, rules });
  const bytes = allocate({
    schedule: plan,
    tensors: build.tensors.length,
    backends: devices + 1,
    flash: rules.flash,
  });
  return { bytes, nodes, splits: plan.splits };
}
