// Several serving systems read as one: their counters, queues and memory added up. Block counts and token slots are of all ranks
// together, as a fleet of equal servers is planned.
import { zeroCounters } from '../step-work.ts';
import type { MemoryShares, QueueState, ServingSystem, StepWork, SystemCounters } from '../types.ts';

export function sumWork(works: readonly StepWork[], into: StepWork): void {
  for (const key of workKeys) into[key] = works.reduce((sum, work) => sum + work[key], 0);
}

const workKeys = [
  'tokens',
  'sequences',
  'prefillTokens',
  'prefillSequences',
  'decodeContext',
  'prefillAttention',
  'rows',
  'transferTokens',
] as const satisfies readonly (keyof StepWork)[];

export function sumCounters(ranks: readonly ServingSystem[]): SystemCounters {
  const total = zeroCounters();
  for (const { counters } of ranks) {
    for (const key of Object.keys(total) as (keyof SystemCounters)[]) total[key] += counters[key];
  }
  return total;
}

export function sumMemory(ranks: readonly ServingSystem[], into: MemoryShares): void {
  const one: MemoryShares = { tokenStates: 0, reserved: 0, internal: 0, external: 0, free: 0 };
  const keys = Object.keys(one) as (keyof MemoryShares)[];
  for (const key of keys) into[key] = 0;
  for (const rank of ranks) {
    rank.memory(one);
    for (const key of keys) into[key] += one[key];
  }
}

export function sumQueues(ranks: readonly ServingSystem[], into: QueueState): void {
  const one: QueueState = { running: 0, waiting: 0, swapped: 0, usedBlocks: 0, cachedBlocks: 0 };
  const keys = Object.keys(one) as (keyof QueueState)[];
  for (const key of keys) into[key] = 0;
  for (const rank of ranks) {
    rank.queues(one);
    for (const key of keys) into[key] += one[key];
  }
}
