// A scheduler run as a file states it: a configuration, a workload, what happens from outside, and the integers that vLLM's own
// scheduler gave. Time in steps: every step lasts 1. Format: vram-scheduler-runs/1.1.

import { inputError } from '../../diagnostics.ts';
import { groupsRefusal } from '../paged/block-sizes.ts';
import type { PagedConfig, PagedRules } from '../paged/config.ts';
import type { PauseMode } from '../paged/scheduler.ts';
import { PagedSystem } from '../paged/system.ts';
import { zeroQueues } from '../step-work.ts';
import type { SimRequest, Workload } from '../types.ts';
import { Clock, type OutsideEvent, type StepObserver } from './clock.ts';
import { crc32 } from './crc32.ts';

type RunEvent = { at: number } & (
  | { type: 'abort'; id: string }
  | { type: 'resetPrefixCache'; resetRunning?: boolean }
  | { type: 'pause'; mode: PauseMode }
);

export type RunConfig = PagedConfig & { events?: readonly RunEvent[] };

/** Every field of `expect`, by name. */
type RunCounters = Record<string, number>;

export interface ConfiguredRun {
  counters: RunCounters;
  clock: Clock;
  system: PagedSystem;
}

interface RunInput {
  config: RunConfig;
  rules: PagedRules;
  workload: Workload;
  /** fileOrder[i] is the row of request i, where requests are not in file order. */
  fileOrder?: readonly number[];
  trace?: (time: number, system: PagedSystem) => void;
  /** Sees every step and idle time too. */
  observe?: (system: PagedSystem) => StepObserver;
}

export function runConfigured({ config, rules, workload, fileOrder, trace, observe }: RunInput): ConfiguredRun {
  const refusal = groupsRefusal(config, rules);
  if (refusal !== undefined) throw inputError('VRAM679', refusal);
  const clock = new Clock(workload);
  const { requests } = workload;
  const drafts = config.spec?.tokens ?? 0;
  const system = new PagedSystem(config, rules, workload, clock, {
    // CRC-32 of `id:position` decides how many drafts the model accepts.
    accepted: (index, position) => crc32(`${(requests[index] as SimRequest).id}:${position}`) % (drafts + 1),
    isBare: true,
  });
  const usage = { usedBlockSteps: 0, peakUsedBlocks: 0 };
  const queues = zeroQueues();
  const observer = observe?.(system);
  clock.run(system, {
    events: outsideEvents(config.events ?? [], system, workload),
    observer: {
      scheduled(time, seconds) {
        system.queues(queues);
        usage.usedBlockSteps += queues.usedBlocks;
        usage.peakUsedBlocks = Math.max(usage.peakUsedBlocks, queues.usedBlocks);
        trace?.(time, system);
        observer?.scheduled?.(time, seconds);
      },
      idle: (from, to) => observer?.idle?.(from, to),
    },
  });
  return { counters: countersOf(clock, system, { usage, workload, fileOrder }), clock, system };
}

function outsideEvents(events: readonly RunEvent[], system: PagedSystem, { requests }: Workload): OutsideEvent[] {
  const indexOf = new Map(requests.map(({ id }, index) => [id, index]));
  const sorted = [...events].sort((a, b) => a.at - b.at);
  return sorted.map((event) => ({
    at: event.at,
    act() {
      if (event.type === 'abort') system.abort(indexOf.get(event.id) ?? -1);
      else if (event.type === 'resetPrefixCache') system.resetPrefixCache(event.resetRunning === true);
      else system.pause(event.mode);
    },
  }));
}

function countersOf(
  { times, totals }: Clock,
  system: PagedSystem,
  { usage, workload, fileOrder }: { usage: RunCounters; workload: Workload; fileOrder?: readonly number[] | undefined },
): RunCounters {
  const { scheduler, output, outside, kv } = system;
  const { storedBlocks, loadedBlocks } = scheduler.connector?.stats ?? { storedBlocks: 0, loadedBlocks: 0 };
  return {
    steps: totals.steps,
    idleSteps: totals.idleSteps,
    emptySteps: totals.emptySteps,
    scheduledTokens: totals.scheduledTokens,
    scheduledSequences: totals.scheduledSequences,
    preemptions: scheduler.stats.preemptions,
    preemptedComputedTokens: scheduler.stats.preemptedComputedTokens,
    prefixHitTokens: scheduler.stats.prefixHitTokens,
    ...usage,
    firstTokenStepSum: sumOf(times.first),
    finishStepSum: sumOf(times.finish),
    perRequestCrc32: perRequestCrc32(times, workload, fileOrder),
    draftTokens: output.stats.draftTokens,
    acceptedTokens: output.stats.acceptedTokens,
    aborted: outside.aborted,
    resets: outside.resets,
    resetsRefused: outside.resetsRefused,
    storedBlocks,
    loadedBlocks,
    schedulerBlockSize: kv.schedulerBlockSize,
    hashBlockSize: kv.hashBlockSize,
  };
}

function sumOf(times: Float64Array): number {
  let sum = 0;
  for (const time of times) if (!Number.isNaN(time)) sum += time;
  return sum;
}

/** CRC-32 of the lines `id,firstTokenStep,finishStep` in file order; -1 for a time that never came. */
export function perRequestCrc32(
  { first, finish }: { first: Float64Array; finish: Float64Array },
  { requests }: Workload,
  fileOrder?: readonly number[],
): number {
  const lines: string[] = new Array(requests.length);
  const step = (time: number | undefined): string => (time === undefined || Number.isNaN(time) ? '-1' : String(time));
  requests.forEach(({ id }, i) => {
    lines[fileOrder?.[i] ?? i] = `${id},${step(first[i])},${step(finish[i])}`;
  });
  return crc32(lines.join('\n'));
}
