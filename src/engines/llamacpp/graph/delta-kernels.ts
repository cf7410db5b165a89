// Whether gated delta nets run as one operation: the build tries small graphs with it, and gives it up if a layer's operation is
// scheduled on another device than the layer. Law: src/llama-context.cpp (resolve_fused_ops, llm_fused_op_gdn_*_probe).
import type { GraphInput } from '../types.ts';
import { Build, type GraphBuilder } from './build.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { schedule } from './scheduler.ts';

/** Which forms of the delta rule are one operation: for single tokens of each sequence, and for more. */
export interface DeltaKernels {
  single: boolean;
  chunked: boolean;
}

/** Tokens of each sequence that the second trial has. */
const chunkTrial = 16;

const assumed = new WeakMap<Build, DeltaKernels>();
const found = new WeakMap<GraphInput, DeltaKernels>();

export function deltaKernels(b: Build, builder: GraphBuilder): DeltaKernels {
  const known = assumed.get(b) ?? found.get(b.input);
  if (known) return known;
  const kernels = { single: true, chunked: true };
  const { placement, context } = b.input;
  const tries = recurrentRules(b)['recurrent.fusedDelta'] === 'tried';
  if (tries && !(placement.full && context.offloadKqv)) {
    kernels.single = staysWithLayers(b, builder, { tokens: 1, kernels });
    kernels.chunked = staysWithLayers(b, builder, { tokens: chunkTrial, kernels });
  }
  found.set(b.input, kernels);
  return kernels;
}

function staysWithLayers(b: Build, builder: GraphBuilder, trial: { tokens: number; kernels: DeltaKernels }): boolean {
  const { sequences } = b.batch;
  const tokens = trial.tokens * sequences;
  const names = new Map(b.input.model.tensors.map((t) => [t.name, t]));
  const graph = new Build(b.input, { tokens, sequences, outputs: tokens }, names);
  assumed.set(graph, { ...trial.kernels });
  builder(graph);
  const { placement, context } = b.input;
  schedule({ graph, devices: placement.devices, copies: 1, opOffload: context.opOffload, rules: b.rules });
  const layers = b.cacheSpec('recurrent')?.layers ?? [];
  const fused = graph.nodes.filter((node) => node.op === 'gated_delta_net');
  return fused.every((node, i) => node.backend === b.backendOf(b.layerPlace(layers[i]!.layer)));
}
