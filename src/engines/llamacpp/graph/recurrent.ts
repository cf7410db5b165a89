// Recurrent states in the graph: the input that says which sequence continues which row, reading a layer's rows, and writing them
// back. Law: src/llama-graph.cpp (build_rs, build_rs_inp), src/llama-memory-recurrent.cpp.
import { assert } from '../../../assert.ts';
import { recurrentWidths } from '../kv.ts';
import type { CacheSpec } from '../types.ts';
import type { Build } from './build.ts';
import { recurrentRules } from './recurrent-rules.ts';
import type { GraphTensor } from './tensor.ts';

/** What the states of all layers have in common. */
export interface StateInputs {
  cache: CacheSpec;
  /** Which row each row continues. */
  rows: GraphTensor;
  /** Of those, the ones of the batch's sequences. */
  main(): GraphTensor;
  /** The ones that only move. */
  extra(): GraphTensor;
  /** Zero for sequences that begin. */
  mask?: GraphTensor;
}

/** build_rs_inp; a graph that is only reserved looks at all rows. */
export function stateInputs(b: Build): StateInputs {
  const cache = b.cacheSpec('recurrent');
  assert(cache, `${b.hp.architecture}: no recurrent state`);
  const { sequences } = b.batch;
  const rows = b.inputTensor('i32', cache.cells);
  const law = recurrentRules(b)['recurrent.rows'];
  const mask = law === 'masked' ? b.inputTensor('f32', 1, cache.cells) : undefined;
  const main = () => b.view(rows, { ne: [sequences] });
  const extra = () => b.view(rows, { ne: [cache.cells - sequences], offset: sequences * rows.nb[0] });
  if (law !== 'shared') return { cache, rows, main, extra, mask };
  const shared = [main(), extra()] as const;
  return { cache, rows, main: () => shared[0], extra: () => shared[1] };
}

/** Tokens of each sequence of the batch. */
export const sequenceTokens = (b: Build): number => b.batch.tokens / b.batch.sequences;

/** States of each sequence that are written back: the last, and those that a draft may have to go back to. */
export const statesKept = (b: Build): number => 1 + (b.context.nRsSeq ?? 0);

/** ... as far as the batch has tokens for them. */
export const statesWritten = (b: Build): number => Math.min(sequenceTokens(b), statesKept(b));

/** R, the convolution's tail, or S, the state, of a layer: a row for each sequence. */
export function stateTensor(b: Build, { cache }: StateInputs, layer: number, part: 'conv' | 'state'): GraphTensor {
  const spec = cache.layers.find((l) => l.layer === layer);
  assert(spec, `layer ${layer} has no recurrent state`);
  const width = recurrentWidths(b.hp)[part];
  return b.cacheTensor(`${part}${layer}`, spec.place, () => ({
    type: 'f32',
    ne: [width, cache.cells * statesKept(b), 1, 1],
  }));
}

/** What reads the rows; usually they are gathered. */
export type ReadRows = (states: GraphTensor, rows: GraphTensor) => GraphTensor;

/** build_rs: clears a row, reads those of the batch's sequences, moves the others (build_recurrent_state). */
export function readStates(b: Build, inputs: StateInputs, s: GraphTensor, read?: ReadRows): GraphTensor {
  const [width, rows] = s.ne;
  const { sequences } = b.batch;
  const states = b.reshape(s, width, rows);
  if (inputs.mask) return readMasked(b, inputs, states, s);
  b.expand(b.viewLike('scale', b.view(states, { ne: [width] })));
  const current = read ? read(states, inputs.main()) : b.getRows(states, inputs.main());
  b.expand(current);
  const others = b.getRows(states, inputs.extra());
  const place = { ne: [width, inputs.cache.cells - sequences], nb: [s.nb[1]], offset: sequences * s.nb[1] };
  b.expand(b.cpy(others, b.view(s, place)));
  return current;
}

/** llm_build_copy_mask_state: all rows are gathered and masked, those of other sequences go back, the batch's are shown. */
function readMasked(b: Build, { cache, rows, mask }: StateInputs, states: GraphTensor, s: GraphTensor): GraphTensor {
  const [width] = s.ne;
  const { sequences } = b.batch;
  const current = b.mul(b.getRows(states, rows), mask!);
  const others = { ne: [width * (cache.cells - sequences)], offset: sequences * width * 4 };
  b.expand(b.cpy(b.view(current, others), b.view(s, others)));
  return b.view(current, { ne: [width, sequences], nb: [current.nb[1]] });
}
