// The gated delta rule in chunks of 64 tokens (16 with a gate per channel): what runs where the fused operation does not.
// Law: src/models/delta-net-base.cpp (build_delta_net_chunking).
import type { Build } from './build.ts';
import type { DeltaInput, DeltaResult } from './delta-net.ts';
import type { GraphTensor } from './tensor.ts';

export function inChunks(b: Build, x: DeltaInput): DeltaResult {
  const [size, heads, tokens, sequences] = x.v.ne;
  const perChannel = x.g.ne[0] !== 1;
  const chunk = perChannel ? 16 : 64;
  const rest = (chunk - (tokens % chunk)) % chunk;
  const chunks = (tokens + rest) / chunk;
  const padded = (t: GraphTensor) => b.pad(b.permute(t, 0, 2, 1, 3), 0, rest);
  const [q0, k0, v0, g0, beta] = [padded(b.scale(x.q)), padded(x.k), padded(x.v), padded(x.g), padded(x.beta)];
  const cut = (t: GraphTensor) => b.reshape(t, t.ne[0], chunk, chunks, t.ne[2] * sequences);
  const weightedV = cut(b.mul(v0, beta));
  const weightedK = cut(b.mul(k0, beta));
  const [q, k] = [cut(q0), cut(k0)];
  const transposed = (t: GraphTensor) => b.cont(b.transpose(t));
  const decay = b.cumsum(transposed(cut(g0)));
  const scores = (perChannel ? channelScores : plainScores)(b, { q, k, weightedK, decay });
  const reads = b.tri(scores.queries);
  const solved = solve(b, b.tri(scores.keys), chunk);
  let v = b.mulMat(transposed(weightedV), solved);
  const grown = b.unary('exp', decay);
  const keysDecayed = b.mulMat(b.mul(transposed(weightedK), grown), solved);
  const queriesGrown = b.mul(q, transposed(grown));
  const last = b.cont(
    b.view(decay, {
      ne: [1, decay.ne[1], decay.ne[2], decay.ne[3]],
      nb: [decay.nb[1], decay.nb[2], decay.nb[3]],
      offset: b.rowSize(decay.type, chunk - 1),
    }),
  );
  const lastGrown = b.transpose(b.unary('exp', last));
  const until = b.unary('neg', b.sub(decay, last));
  const keysLeft = transposed(b.mul(k, transposed(b.unary('exp', until))));
  let state = b.reshape(x.state, size, size, 1, heads * sequences);
  const values = transposed(v);
  for (let i = 0; i < chunks; i++) {
    const at = (t: GraphTensor) => slice(b, t, i);
    const [keyed, own, read, query, left] = [at(keysDecayed), at(values), at(reads), at(queriesGrown), at(keysLeft)];
    const fresh = b.sub(own, b.mulMat(keyed, state));
    const within = b.mulMat(fresh, read);
    v = b.viewLike('set', v, [v, b.add(b.mulMat(state, query), within)]);
    const written = b.mulMat(left, fresh);
    state = b.add(b.mul(state, at(lastGrown)), written);
  }
  const row = (n: number) => b.rowSize(v.type, n);
  const shown = b.view(v, {
    ne: [size, tokens, heads, sequences],
    nb: [row(size), row(size * chunk * chunks), row(size * chunk * chunks * heads)],
  });
  return { output: b.permute(shown, 0, 2, 1, 3), state: b.reshape(state, size, size, heads, sequences) };
}

interface ScoreInput {
  q: GraphTensor;
  k: GraphTensor;
  weightedK: GraphTensor;
  /** Sums of the gate's logarithms within each chunk. */
  decay: GraphTensor;
}

interface Scores {
  keys: GraphTensor;
  queries: GraphTensor;
}

/** One gate a head. */
function plainScores(b: Build, { q, k, weightedK, decay }: ScoreInput): Scores {
  const [chunk, , chunks, rows] = decay.ne;
  const across = b.repeat(b.reshape(decay, 1, chunk, chunks, rows), chunk, chunk, chunks, rows);
  const mask = b.unary('exp', b.tri(b.sub(across, decay)));
  return { keys: b.mul(b.mulMat(k, weightedK), mask), queries: b.mul(b.mulMat(k, q), mask) };
}

/** A gate for every channel of a head (Kimi Delta Attention). */
function channelScores(b: Build, { q, k, weightedK, decay }: ScoreInput): Scores {
  const [chunk, size, chunks, rows] = decay.ne;
  const all = chunks * rows;
  const down = b.reshape(decay, chunk, 1, size, all);
  const across = b.repeat(b.reshape(decay, 1, chunk, size, all), chunk, chunk, size, all);
  const faded = b.unary('exp', b.tri(b.sub(across, down)));
  const mask = b.cont(b.permute(faded, 2, 1, 0, 3), size, chunk, chunk, all);
  const keyRows = b.reshape(k, size, 1, chunk, all);
  const product = (t: GraphTensor) => {
    const scores = b.mulMat(b.mul(mask, b.reshape(t, size, chunk, 1, all)), keyRows);
    return b.cont(b.transpose(b.reshape(scores, chunk, chunk, chunks, rows)));
  };
  return { keys: product(weightedK), queries: product(q) };
}

/** The inverse of a unit triangular matrix: the identity and the solution for the negative. */
function solve(b: Build, lower: GraphTensor, chunk: number): GraphTensor {
  const identity = b.diag(b.fill(b.view(lower, { ne: [chunk] })));
  return b.add(b.solveTri(b.add(lower, identity), b.unary('neg', lower)), identity);
}

function slice(b: Build, t: GraphTensor, i: number): GraphTensor {
  return b.view(t, { ne: [t.ne[0], t.ne[1], 1, t.ne[3]], nb: [t.nb[1], t.nb[2], t.nb[3]], offset: t.nb[2] * i });
}
