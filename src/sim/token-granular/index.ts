// LightLLM-like serving: single token slots, admission by the estimated peak.
import type { RequestListener, ServingSystem, Workload } from '../types.ts';
import { type TokenGranularConfig, TokenGranularSystem } from './system.ts';

export type { TokenGranularConfig } from './system.ts';

export function createTokenGranular(
  workload: Workload,
  config: TokenGranularConfig,
  listener: RequestListener,
): ServingSystem {
  return new TokenGranularSystem(workload, config, listener);
}
