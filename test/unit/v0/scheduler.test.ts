// V0's scheduler against vLLM's own, release by release: which groups every step runs, every block id, preemptions, swaps, copies.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createV0 } from '../../../src/sim/v0/index.ts';
import { replay, type V0Case } from './replay.ts';

const file = new URL('../../ground-truth/vllm-v0-scheduler.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: V0Case[] };

describe("vLLM's own V0 scheduler", () => {
  it.each(cases.map((one) => [one.id, one] as const))('%s', (_, one) => {
    const { swapOut, swapIn, ...expected } = one.expect;
    expect(replay(one)).toEqual({ ...expected, swapped: swapOut! + swapIn! });
  });
});

describe('requests that can never run', () => {
  const limits = { numCpuBlocks: 4, blockSize: 4, maxNumSeqs: 4, maxNumBatchedTokens: 64, maxModelLen: 64 };
  const run = (numBlocks: number, shape: { promptTokens: number; outputTokens: number; samples?: number }) => {
    const request = { id: 'r', arrival: 0, prompt: [0, shape.promptTokens], outputBase: 1000, maxTokens: 64, ...shape };
    const seen: string[] = [];
    const system = createV0(
      { requests: [request] },
      { ...limits, numBlocks },
      {
        firstToken: () => seen.push('first'),
        finished: () => seen.push('finished'),
        rejected: (_, reason) => seen.push(reason),
      },
    );
    system.add(0);
    for (let steps = 0; system.unfinished > 0 && steps < 1000; steps++) if (system.schedule()) system.complete();
    expect(system.unfinished).toBe(0);
    return seen;
  };

  it('reports a prompt past the model length, the batch or the pool once', () => {
    expect(run(100, { promptTokens: 65, outputTokens: 1 })).toEqual(['longer than 64 tokens']);
    expect(run(4, { promptTokens: 17, outputTokens: 1 })).toEqual(['longer than the whole pool']);
    expect(run(100, { promptTokens: 1, outputTokens: 1, samples: 5 })).toEqual(['more sequences than 4']);
  });

  it('reports one that outgrows the pool while it generates', () => {
    expect(run(4, { promptTokens: 10, outputTokens: 20 })).toEqual(['first', 'longer than the whole pool']);
  });

  it('reports a group that neither fits the pool nor the swap space', () => {
    expect(run(8, { promptTokens: 10, outputTokens: 20, samples: 4 })).toEqual([
      'first',
      'no room in the CPU swap space',
    ]);
  });

  it('ends at the model length', () => {
    expect(run(100, { promptTokens: 60, outputTokens: 50 })).toEqual(['first', 'finished']);
  });
});
