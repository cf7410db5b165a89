// Gated delta nets: linear attention whose state is a matrix a head, as one operation where every layer's device runs it, otherwise
// in chunks of tokens or token by token. Law: src/models/delta-net-base.cpp.
import type { Build } from './build.ts';
import { inChunks } from './delta-chunks.ts';
import type { DeltaKernels } from './delta-kernels.ts';
import { readStates, type StateInputs, sequenceTokens, statesKept, stateTensor } from './recurrent.ts';
import type { GraphTensor } from './tensor.ts';

/** Operands of the delta rule; four dimensions each: head size (1 for g and beta), heads, tokens, sequences. */
export interface DeltaInput {
  q: GraphTensor;
  k: GraphTensor;
  v: GraphTensor;
  g: GraphTensor;
  beta: GraphTensor;
  /** A square matrix of each head and sequence. */
  state: GraphTensor;
}

export interface DeltaResult {
  output: GraphTensor;
  state: GraphTensor;
}

/** The tokens before and the batch's, and the new tail put back (build_conv_state). */
export function convolutionInput(b: Build, inputs: StateInputs, layer: number, mixed: GraphTensor): GraphTensor {
  const { sequences } = b.batch;
  const tail = b.hp.ssm!.conv - 1;
  const [channels] = mixed.ne;
  const cache = stateTensor(b, inputs, layer, 'conv');
  const before = b.reshape(readStates(b, inputs, cache), tail, channels, sequences);
  const all = b.concat(before, b.transpose(mixed), 0);
  const kept = statesKept(b);
  for (let state = 1; state <= kept; state++) {
    const last = b.view(all, {
      ne: [tail, channels, sequences],
      nb: [all.nb[1], all.nb[2]],
      offset: b.rowSize(all.type, Math.max(0, all.ne[0] - tail - kept + state)),
    });
    b.expand(b.cpy(last, b.view(cache, { ne: [tail * channels, sequences], nb: [cache.nb[1]] })));
  }
  return all;
}

/** The delta rule over the batch's tokens; the new state goes back to the cache (build_recurrent_attn). */
export function deltaNet(b: Build, x: DeltaInput, states: GraphTensor, kernels: DeltaKernels): GraphTensor {
  if (statesKept(b) > 1) return keepingStates(b, x, states);
  const { output, state } = deltaRule(b, x, kernels);
  const row = { ne: [states.ne[0], b.batch.sequences], nb: [states.nb[1]] };
  b.expand(b.cpy(state, b.view(states, row)));
  return output;
}

/** One operation whatever the devices, which returns the last states beside its result. */
function keepingStates(b: Build, { q, k, v, g, beta, state }: DeltaInput, states: GraphTensor): GraphTensor {
  const t = b.gatedDeltaNet([q, k, v, g, beta, state], statesKept(b));
  const [size, heads, tokens, sequences] = v.ne;
  const row = (values: number) => b.rowSize(t.type, values);
  const whole = size * size * heads;
  const written = Math.min(tokens, statesKept(b));
  const output = b.view(t, { ne: v.ne, nb: [row(size), row(size * heads), row(size * heads * tokens)] });
  const snapshots = b.view(t, {
    ne: [whole, sequences, written],
    nb: [row(whole), row(whole * sequences)],
    offset: row(size * heads * tokens * sequences),
  });
  const kept = b.view(states, { ne: [whole, sequences, written], nb: [states.nb[1], states.nb[1] * states.ne[1]] });
  b.expand(b.cpy(snapshots, kept));
  return output;
}

/** build_delta_net. */
export function deltaRule(b: Build, x: DeltaInput, kernels: DeltaKernels): DeltaResult {
  if (sequenceTokens(b) > 1) return kernels.chunked ? fused(b, x) : inChunks(b, x);
  return kernels.single ? fused(b, x) : tokenByToken(b, x);
}

function fused(b: Build, { q, k, v, g, beta, state }: DeltaInput): DeltaResult {
  const t = b.gatedDeltaNet([q, k, v, g, beta, state]);
  const [size, heads, tokens, sequences] = v.ne;
  const row = (values: number) => b.rowSize(t.type, values);
  return {
    output: b.view(t, { ne: v.ne, nb: [row(size), row(size * heads), row(size * heads * tokens)] }),
    state: b.view(t, {
      ne: [size, size, heads, sequences],
      nb: [row(size), row(size * size), row(size * size * heads)],
      offset: row(size * heads * tokens * sequences),
    }),
  };
}

/** build_delta_net_autoregressive. */
function tokenByToken(b: Build, x: DeltaInput): DeltaResult {
  const [, heads, , sequences] = x.v.ne;
  const tokensFirst = (t: GraphTensor) => b.permute(t, 0, 2, 1, 3);
  const q = tokensFirst(b.scale(x.q));
  const [k, v] = [tokensFirst(x.k), tokensFirst(x.v)];
  const g = b.unary('exp', b.reshape(x.g, 1, x.g.ne[0], heads, sequences));
  const beta = b.reshape(x.beta, 1, 1, heads, sequences);
  const faded = b.mul(x.state, g);
  const known = b.sumRows(b.mul(faded, k));
  const change = b.mul(b.sub(v, b.transpose(known)), beta);
  const written = b.mul(b.repeat(k, ...faded.ne), b.transpose(change));
  const state = b.add(faded, written);
  return { output: b.permute(b.sumRows(b.mul(state, q)), 2, 0, 1, 3), state };
}
