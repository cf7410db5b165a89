// 50 workloads whose steps come from nano-vllm's own scheduler.py and block_manager.py (bb823b3): which sequences each step takes
// with how many tokens, and the queue of free blocks before and after the forward pass.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NanoSystem } from '../../../src/sim/nano/system.ts';
import { drive } from '../../helpers/drive.ts';

interface Recorded {
  numBlocks: number;
  blockSize: number;
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
  requests: { arrival: number; prompt: number[]; output: number }[];
  /** `scheduled`: pairs of request and tokens. */
  steps: { time: number; scheduled: [number, number][]; free: number[]; freeAfter: number[] }[];
}

const recorded = readFileSync('test/fixtures/nano-vllm-bb823b3.jsonl', 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded);

it('every step is the one nano-vllm takes', () => {
  for (const { requests, steps, ...config } of recorded) {
    const workload = {
      requests: requests.map(({ arrival, prompt, output }, index) => ({
        id: String(index),
        arrival,
        prompt: prompt.flatMap((token) => [token, token + 1]),
        promptTokens: prompt.length,
        outputTokens: output,
        maxTokens: output,
        outputBase: 1_000_000 + index * 1000,
      })),
    };
    let step = 0;
    drive(workload, (load, listener) => new NanoSystem(load, { ...config, maxModelLen: 1000 }, listener), {
      scheduled(system, time) {
        if (system.work.sequences === 0) return;
        const { scheduled, free, time: expectedTime } = steps[step]!;
        const tokens = scheduled.reduce((sum, [, count]) => sum + count, 0);
        expect([time, system.work.sequences, system.work.tokens]).toEqual([expectedTime, scheduled.length, tokens]);
        expect(system.blocks.freeOrder()).toEqual(free);
      },
      completed(system) {
        expect(system.blocks.freeOrder()).toEqual(steps[step++]!.freeAfter);
      },
    });
    expect(step).toBe(steps.length);
  }
});
