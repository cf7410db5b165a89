// Which beams survive a step. Each beam carries its log-probability; each continues with tokens of a random next-token distribution;
// the `width` best sums survive, as in vLLM's beam search up to 0.6.2 (vllm/engine/output_processor/single_step.py, which keeps the
// best `width` of the 2*width best candidates; end-of-sequence is ignored here, every beam runs to the request's length).
//
// The distribution is a Poisson-Dirichlet draw: break a stick of length 1 again and again, each piece a Beta(1, theta) share of what
// is left. Its mean entropy is digamma(theta + 1) + Euler's constant, so theta follows from a perplexity.
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

export interface BeamLaw {
  /** Perplexity of the next-token distributions. */
  readonly perplexity: number;
  /** Share of steps in which all beams continue with the same distribution. */
  readonly common: number;
  readonly seed: number;
}

/** One stream for all beam searches of a run: the order of calls is part of the state. */
export class BeamSearch {
  private readonly rng;
  private readonly inverseTheta: number;

  constructor(private readonly law: BeamLaw) {
    this.rng = xoroshiro128plus(law.seed);
    this.inverseTheta = 1 / thetaOf(law.perplexity);
  }

  /**
   * Parents of the `width` survivors, best first, as indices into `scores`, and their log-probabilities less the best one. Ties go to
   * the earlier beam.
   */
  survivors(scores: Float64Array, width: number): { parents: Int32Array; scores: Float64Array } {
    const parents = new Int32Array(width);
    const best = new Float64Array(width).fill(Number.NEGATIVE_INFINITY);
    const shared = uniformFloat64(this.rng) < this.law.common ? this.nextTokens(width) : null;
    for (let beam = 0; beam < scores.length; beam++) {
      for (const logProbability of shared ?? this.nextTokens(width)) {
        const score = scores[beam]! + logProbability;
        if (score <= best[width - 1]!) break;
        let at = width - 1;
        for (; at > 0 && best[at - 1]! < score; at--) {
          best[at] = best[at - 1]!;
          parents[at] = parents[at - 1]!;
        }
        best[at] = score;
        parents[at] = beam;
      }
    }
    const top = best[0]!;
    for (let i = 0; i < width; i++) best[i]! -= top;
    return { parents, scores: best };
  }

  /** The `count` largest log-probabilities of one draw, largest first. */
  private nextTokens(count: number): number[] {
    const top: number[] = [];
    let left = 0;
    for (;;) {
      // Beta(1, theta) by inversion: what is left after a piece is U^(1/theta) of what was there; kept as a logarithm.
      const keep = Math.log(1 - uniformFloat64(this.rng)) * this.inverseTheta;
      insert(top, left + Math.log1p(-Math.exp(keep)), count);
      left += keep;
      if (top.length === count && left < top[count - 1]!) return top;
    }
  }
}

function insert(top: number[], value: number, count: number): void {
  if (top.length === count && value <= top[count - 1]!) return;
  let at = top.length < count ? top.length : count - 1;
  for (; at > 0 && top[at - 1]! < value; at--) top[at] = top[at - 1]!;
  top[at] = value;
}

/** theta with sum over k of theta / (k (k + theta)) = ln(perplexity): the mean entropy of the draw, solved by bisection. */
export function thetaOf(perplexity: number): number {
  const target = Math.log(perplexity);
  let low = 0;
  let high = 1e6;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (entropyOf(middle) < target) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** digamma(theta + 1) + Euler's constant: the recurrence up to 12, then the asymptotic series. */
function entropyOf(theta: number): number {
  let x = theta + 1;
  let below = 0;
  for (; x < 12; x++) below += 1 / x;
  const inverse = 1 / (x * x);
  const digamma = Math.log(x) - 0.5 / x - inverse * (1 / 12 - inverse * (1 / 120 - inverse / 252));
  return digamma - below + 0.5772156649015329;
}
