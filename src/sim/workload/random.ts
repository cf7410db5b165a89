// Seeded random numbers: every purpose (arrivals, input lengths, think times, ...) has a stream of its own, so that drawing more
// for one leaves the others as they were. The same seed and purpose give the same numbers on every machine.
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

export interface Random {
  /** In [0, 1), 53 bits. */
  uniform(): number;
  /** Mean 0, variance 1. */
  normal(): number;
  /** Mean 1. */
  exponential(): number;
  /** Mean `shape`, variance `shape`. */
  gamma(shape: number): number;
}

export function randomStream(seed: number, purpose: string): Random {
  const generator = xoroshiro128plus(mixed(seed, purpose));
  // The generator starts from a state that is mostly zeros and ones.
  for (let skipped = 0; skipped < 24; skipped++) generator.next();
  const uniform = (): number => ((generator.next() >>> 5) * 2 ** 26 + (generator.next() >>> 6)) * 2 ** -53;
  const exponential = (): number => -Math.log(1 - uniform());
  // Box and Muller; one of the two numbers is left, which keeps two draws to a number.
  const normal = (): number => Math.sqrt(2 * exponential()) * Math.cos(2 * Math.PI * uniform());
  return { uniform, exponential, normal, gamma: (shape) => gamma(shape, { uniform, normal }) };
}

/** Marsaglia and Tsang, A simple method for generating gamma variables (2000); below shape 1 by their power of a uniform number. */
function gamma(shape: number, random: Pick<Random, 'uniform' | 'normal'>): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** 32 bits of seed and purpose: FNV-1a over the text, then the finalizer of MurmurHash3. */
function mixed(seed: number, purpose: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < purpose.length; at++) hash = Math.imul(hash ^ purpose.charCodeAt(at), 0x01000193);
  for (const word of [seed | 0, Math.floor(seed / 2 ** 32) | 0]) {
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash | 0;
}
