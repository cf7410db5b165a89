// Which models come and go, for the allocator view, where nobody says: every model is visited in several rounds, each in another order, and
// what does not fit beside it by the sum of bytes goes first, least recently used first. A made-up sequence without chance in it; it asks
// what an allocator does with turnover, not how often there is any.
import { sum } from '../../units.ts';
import type { AllocatorEvent, AllocatorModel } from './allocator.ts';

interface ScheduleRequest {
  models: readonly AllocatorModel[];
  deviceBytes: number;
  /** Models in memory at once at most. Default: all but one, so that there is turnover where all would fit. */
  maxLoaded?: number;
  /** Default 6. */
  rounds?: number;
}

export function defaultSchedule({ models, deviceBytes, maxLoaded, rounds = 6 }: ScheduleRequest): AllocatorEvent[] {
  const most = Math.max(1, maxLoaded ?? models.length - 1);
  const events: AllocatorEvent[] = [];
  let loaded: AllocatorModel[] = [];
  for (const model of visits(models, rounds)) {
    const isLoaded = loaded.includes(model);
    loaded = loaded.filter((other) => other !== model);
    while (!isLoaded && loaded.length > 0 && (loaded.length >= most || neededBytes([...loaded, model]) > deviceBytes)) {
      events.push({ kind: 'unload', model: loaded.shift()!.id });
    }
    loaded.push(model);
    if (!isLoaded) events.push({ kind: 'load', model: model.id });
    events.push({ kind: 'use', model: model.id });
  }
  return events;
}

/** Weights and caches of all, and the largest step of any (steps do not overlap on one stream). */
export function neededBytes(models: readonly AllocatorModel[]): number {
  const held = sum(models.map(({ tensors, kvTensors }) => sum(tensors.map(({ bytes }) => bytes)) + sum(kvTensors)));
  return held + Math.max(0, ...models.flatMap(({ steps }) => steps.map((step) => sum(step))));
}

/** Round by round one place further, every other round backwards: A B C, then A C B, then C A B, ... */
function visits(models: readonly AllocatorModel[], rounds: number): AllocatorModel[] {
  return Array.from({ length: rounds }, (_, round) => {
    const from = round % models.length;
    const order = [...models.slice(from), ...models.slice(0, from)];
    return round % 2 === 0 ? order : order.reverse();
  }).flat();
}
