// What -fa auto becomes, as the build finds out: it makes the graph of single tokens with flash attention and looks on which device
// the scheduler puts each layer's attention. Law: src/llama-context.cpp (resolve_fused_ops; in older builds the constructor).
import type { GraphInput, Place } from '../types.ts';
import { plannedGraph } from './index.ts';
import { withOnlyGpu } from './single-gpu.ts';

/** Whether all attention runs where its layer lies; undefined: the graph is not known. `input.context` has flash attention on. */
export function flashStays(input: GraphInput, layers: readonly number[]): boolean | undefined {
  const plan = plannedGraph(input, 'single');
  if (!plan) return undefined;
  const { placement } = withOnlyGpu(input);
  const backends = plan.nodes.flatMap(({ op }, i) => (op === 'flash_attn_ext' ? [plan.nodeBackends[i]!] : []));
  // The attention of layers that share a cache counts, too; anything else is no plain graph of layers.
  if (backends.length !== layers.length) return undefined;
  const backendOf = (place: Place) => (place === 'cpu' ? placement.devices : place);
  return layers.every((il, i) => backendOf(placement.layers[il]!) === backends[i]);
}
