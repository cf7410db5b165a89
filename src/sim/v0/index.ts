// The V0 engine for the simulator: one function that makes a serving system of a workload and V0's limits.
import type { RequestListener, ServingSystem, Workload } from '../types.ts';
import { resolveV0Config, type V0Config } from './config.ts';
import { V0System } from './system.ts';

export { type V0Config, type V0Preemption, v0Preemptions } from './config.ts';

export function createV0(workload: Workload, config: V0Config, listener: RequestListener): ServingSystem {
  return new V0System(workload, resolveV0Config(config), listener);
}
