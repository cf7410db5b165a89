// SGLang-like serving: prefixes in a radix tree, single token slots, retraction when decode finds no room.
import type { RequestListener, ServingSystem, Workload } from '../types.ts';
import type { RadixConfig } from './config.ts';
import { RadixSystem } from './system.ts';

export type { RadixConfig } from './config.ts';
export { type RadixEviction, radixEvictions } from './strategy.ts';

export function createRadix(workload: Workload, config: RadixConfig, listener: RequestListener): ServingSystem {
  return new RadixSystem(workload, config, listener);
}
