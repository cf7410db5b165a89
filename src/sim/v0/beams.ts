// Which beams survive a step. Each beam carries its log-probability and continues with the tokens of a random next-token distribution
// of its own; the `width` best sums survive, as in vLLM's beam search up to 0.6.2 (engine/output_processor/single_step.py keeps the
// best `width` of the 2*width best candidates). End-of-sequence is ignored, as in the paper's runs: every beam runs to the request's
// length. Whether beams soon have a common ancestor again or live side by side is a matter of how sure the model is; see predictability.
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { Predictability, type TextPerplexity } from './predictability.ts';

interface Survivors {
  /** For each survivor, best first, the index of the beam it continues. */
  parents: Int32Array;
  /** Their log-probabilities less the best one. */
  scores: Float64Array;
}

/** One stream for all beam searches of a run: the order of calls is part of the state. */
export class BeamSearch {
  private readonly rng;
  private readonly text: Predictability;

  constructor(perplexity: TextPerplexity, seed: number) {
    this.rng = xoroshiro128plus(seed);
    this.text = new Predictability(perplexity);
  }

  /** The next generation after `position` generated tokens. Ties go to the earlier beam. */
  survivors(scores: Float64Array, width: number, position: number): Survivors {
    const inverseTheta = 1 / this.text.theta(position);
    const parents = new Int32Array(width);
    const best = new Float64Array(width).fill(Number.NEGATIVE_INFINITY);
    for (let beam = 0; beam < scores.length; beam++) {
      for (const logProbability of this.nextTokens(width, inverseTheta)) {
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

  /**
   * The `count` largest log-probabilities of one distribution, largest first. A Poisson-Dirichlet draw: from a stick of length 1 break
   * off a Beta(1, theta) share of what is left, again and again; what is left is then U^(1/theta) of what was there.
   */
  private nextTokens(count: number, inverseTheta: number): number[] {
    const top: number[] = [];
    let left = 0;
    for (;;) {
      const keep = Math.log(1 - uniformFloat64(this.rng)) * inverseTheta;
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
