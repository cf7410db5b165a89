// How fast a planned deployment is likely to be: the shape of the load that it is asked about, and the answer with its range. Every
// figure is an estimate by nature; nothing that counts bytes or blocks depends on it.
import type { SpeedFigure } from '../types.ts';

export interface SpeedShape {
  /** Sequences at once, over all replicas. */
  concurrency: number;
  promptTokens: number;
  outputTokens: number;
}

export interface DeploymentSpeed {
  /** All sequences of all replicas together, each with its prompt and half of its answer in the cache. */
  decode: SpeedFigure;
  /** Prompts one after another, nothing beside them. */
  prefill: SpeedFigure;
  /** One sequence alone: between two tokens, and until the first. */
  tpotSeconds: number;
  ttftSeconds: number;
  /** Closed loop: every finished sequence replaced at once, prompts computed beside decoding. All replicas together. */
  outputTokensPerSecond: number;
  lowOutputTokensPerSecond: number;
  highOutputTokensPerSecond: number;
  /** In that loop, between two tokens of one sequence. */
  loadedTpotSeconds: number;
  /** Sequences of that loop that run; fewer than asked for where the engine or its cache holds no more. */
  runningSequences: number;
  /** fitted: the device's coefficients were chosen by looking at measured runs on it. */
  estimate: 'roofline' | 'fitted';
  /** Each rate x (1 - share) is its low, x (1 + share) its high end. */
  uncertaintyShare: number;
  assumptions: string[];
}
