// Which of a model's special operations a build uses: it tries a graph of single tokens with them, and gives one up if a layer's
// operation is scheduled on another device than the layer. Law: src/llama-context.cpp (resolve_fused_ops, llm_fused_op_*_probe).
import type { GraphInput } from '../types.ts';
import { Build, type GraphBuilder } from './build.ts';
import { schedule } from './scheduler.ts';
import type { Op } from './tensor.ts';

/** An operation on trial, in the order in which the build tries them. */
export interface Trial {
  op: Op;
  /** Layer of each such operation, in the graph's order. */
  layers: readonly number[];
}

type Found = Map<Op, boolean>;

const assumed = new WeakMap<Build, Found>();
const found = new WeakMap<GraphInput, Found>();

/** Operations that are used; those that are on trial in the graph at hand count as used. */
export function fusedOperations(b: Build, builder: GraphBuilder, trials: readonly Trial[]): ReadonlyMap<Op, boolean> {
  const known = assumed.get(b) ?? found.get(b.input);
  if (known) return known;
  const results: Found = new Map(trials.map(({ op }) => [op, true]));
  for (const trial of trials) results.set(trial.op, staysWithLayers(b, builder, trial, results));
  found.set(b.input, results);
  return results;
}

function staysWithLayers(b: Build, builder: GraphBuilder, { op, layers }: Trial, results: Found): boolean {
  const { sequences } = b.batch;
  const names = new Map(b.input.model.tensors.map((t) => [t.name, t]));
  const graph = new Build(b.input, { tokens: sequences, sequences, outputs: sequences }, names);
  assumed.set(graph, new Map(results));
  builder(graph);
  const { placement, context } = b.input;
  schedule({ graph, devices: placement.devices, copies: 1, opOffload: context.opOffload, rules: b.rules });
  const nodes = graph.nodes.filter((node) => node.op === op);
  return nodes.every((node, i) => node.backend === b.backendOf(b.layerPlace(layers[i] ?? 0)));
}
