// How sure a language model is of the next token of text that beam search writes, by position. Beam search falls into repetition:
// its text starts as uncertain as the model is of human text and becomes ever more certain. Both ends are published (Holtzman et al.
// 2020, The Curious Case of Neural Text Degeneration, table 1: perplexity 12.38 of human text, 1.48 of beam-searched text over 200
// tokens), neither is fitted to memory savings. In between new content comes as in a Chinese restaurant process: ever more rarely,
// with a probability of 1 / (1 + t / tau) after t tokens.

export interface TextPerplexity {
  /** Of the distribution of the first token. */
  start: number;
  /** Mean over the first `tokens` tokens. */
  text: number;
  tokens: number;
}

export const publishedPerplexity: TextPerplexity = { start: 12.38, text: 1.48, tokens: 200 };

export class Predictability {
  /** Tokens after which the entropy has halved. */
  readonly tau: number;
  private readonly startEntropy: number;
  private readonly thetas: number[] = [];

  constructor({ start, text, tokens }: TextPerplexity) {
    this.startEntropy = Math.log(start);
    this.tau = tauOf(Math.log(text) / this.startEntropy, tokens);
  }

  /** Mean entropy of the next token after `position` tokens, in nats = start / (1 + position / tau). */
  entropy(position: number): number {
    return this.tau === Number.POSITIVE_INFINITY ? this.startEntropy : this.startEntropy / (1 + position / this.tau);
  }

  /** Parameter of the Poisson-Dirichlet distribution with that mean entropy. */
  theta(position: number): number {
    for (let i = this.thetas.length; i <= position; i++) this.thetas.push(thetaOf(this.entropy(i)));
    return this.thetas[position]!;
  }
}

/** tau with tau/T * ln(1 + T/tau) = ratio: the mean of 1/(1 + t/tau) over [0, T]. A ratio of 1 or more: no decay. */
function tauOf(ratio: number, tokens: number): number {
  if (ratio >= 1) return Number.POSITIVE_INFINITY;
  return bisect((tau) => (tau / tokens) * Math.log1p(tokens / tau) < ratio, tokens);
}

/**
 * theta with digamma(theta + 1) + Euler's constant = entropy: the mean entropy of a Poisson-Dirichlet draw (the sum over the sizes p of
 * -p ln p, by size-biased sampling: the size of a random token's type is Beta(1, theta)).
 */
export function thetaOf(entropy: number): number {
  return bisect((theta) => meanEntropy(theta) < entropy, 1);
}

/** digamma(theta + 1) + Euler's constant: the recurrence up to 12, then the asymptotic series. */
function meanEntropy(theta: number): number {
  let x = theta + 1;
  let below = 0;
  for (; x < 12; x++) below += 1 / x;
  const inverse = 1 / (x * x);
  const digamma = Math.log(x) - 0.5 / x - inverse * (1 / 12 - inverse * (1 / 120 - inverse / 252));
  return digamma - below + 0.5772156649015329;
}

/** The positive number up to which `below` holds. */
function bisect(below: (x: number) => boolean, guess: number): number {
  let high = guess;
  while (below(high)) high *= 2;
  let low = 0;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (below(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
