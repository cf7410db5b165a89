// nano-vllm's block manager and scheduler as a serving system.
import type { RequestListener, ServingSystem, Workload } from '../types.ts';
import { type NanoConfig, NanoSystem } from './system.ts';

export type { NanoConfig } from './system.ts';

export function createNano(workload: Workload, config: NanoConfig, listener: RequestListener): ServingSystem {
  return new NanoSystem(workload, config, listener);
}
