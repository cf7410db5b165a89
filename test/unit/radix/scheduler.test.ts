// 40 workloads whose steps come from SGLang 0.5.9's own PrefillAdder, SchedulePolicy and RadixCache, put together in the order of its
// scheduler.py: what each step computes, free and evictable slots after it is scheduled, and who is retracted.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { RadixConfig } from '../../../src/sim/radix/index.ts';
import { RadixSystem } from '../../../src/sim/radix/system.ts';
import { drive } from '../../helpers/drive.ts';

interface Recorded {
  config: RadixConfig;
  requests: { arrival: number; prompt: number[]; output: number; maxTokens: number; priority: number }[];
  /** `scheduled`: pairs of request and tokens. */
  steps: { time: number; scheduled: [number, number][]; free: number; evictable: number }[];
  retracted: number[];
}

const recorded = readFileSync('test/fixtures/sglang-scheduler-0.5.9.jsonl', 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded);

it('every step is the one SGLang takes', () => {
  for (const { config, requests, steps, retracted } of recorded) {
    const workload = {
      requests: requests.map(({ arrival, prompt, output, maxTokens, priority }, index) => ({
        id: String(index),
        arrival,
        prompt: prompt.flatMap((token) => [token, token + 1]),
        promptTokens: prompt.length,
        outputTokens: output,
        maxTokens,
        outputBase: 1_000_000 + index * 1000,
        priority: 0 - priority,
      })),
    };
    let step = 0;
    const driven = drive(workload, (load, listener) => new RadixSystem(load, config, listener), {
      scheduled({ work, memoryState: { free, tree } }, time) {
        if (work.sequences === 0) return;
        const { scheduled, ...expected } = steps[step++]!;
        const tokens = scheduled.reduce((sum, [, count]) => sum + count, 0);
        const actual = { time, free, evictable: tree.evictable, sequences: work.sequences, tokens: work.tokens };
        expect(actual).toEqual({ ...expected, sequences: scheduled.length, tokens });
      },
    });
    expect(step).toBe(steps.length);
    expect(driven.preempted).toEqual(retracted);
  }
});
