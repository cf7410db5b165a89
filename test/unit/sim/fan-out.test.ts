// Parallel samples on vLLM's V1 engine: children that arrive together, one request for whoever asked.
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { schedulerRules } from '../../../src/load/scheduler-rules.ts';
import type { SimSetup } from '../../../src/sim/setup.ts';
import { simulateRun } from '../../../src/sim/simulate.ts';
import type { SimRequest, Workload } from '../../../src/sim/types.ts';

const setup: SimSetup = {
  policy: 'paged',
  eviction: 'lru',
  seed: 0,
  paged: {
    numBlocks: 200,
    blockSize: 16,
    groups: [{ type: 'full' }],
    maxNumSeqs: 16,
    maxNumBatchedTokens: 512,
    maxModelLen: 2048,
    policy: 'fcfs',
    longPrefillTokenThreshold: 0,
    chunkedPrefill: true,
    prefixCaching: true,
    reserveFullPrompt: true,
  },
  rules: schedulerRules(resolveEngineRef('vllm@0.24.0').profile),
  cpuBlocks: 0,
  v0: {},
  nullBlock: true,
  replicas: 1,
  acceptanceRate: 0,
  bytesPerBlock: null,
  time: { kind: 'fixed', seconds: 1 },
};

function request(i: number, changes: Partial<SimRequest> = {}): SimRequest {
  return {
    id: `r${i}`,
    arrival: i,
    prompt: [1000 * i, 1000 * i + 100],
    promptTokens: 100,
    outputTokens: 20,
    maxTokens: 20,
    outputBase: 1e6 * (i + 1),
    ...changes,
  };
}

function run(workload: Workload) {
  return simulateRun({ setup, workload });
}

describe('parallel samples', () => {
  it('are requests that arrive together, as the workload could state them itself', () => {
    const fanned = run({ requests: [request(0, { samples: 3 }), request(5)] });
    const stated = run({
      requests: [
        request(0),
        request(0, { id: 'r0_1', outputBase: 1e6 + 20 }),
        request(0, { id: 'r0_2', outputBase: 1e6 + 40 }),
        request(5),
      ],
    });
    for (const key of [
      'steps',
      'scheduledTokens',
      'makespanSeconds',
      'memory',
      'prefixCache',
      'preemptions',
    ] as const) {
      expect(fanned.result[key]).toEqual(stated.result[key]);
    }
    expect(fanned.result.prefixCache.hitTokens).toBe(2 * 96);
  });

  it('begin with the first token of any and end with the last', () => {
    const { result, perRequest } = run({ requests: [request(0, { samples: 4 })] });
    expect(result.requests).toMatchObject({ total: 1, finished: 1 });
    expect([...perRequest.firstToken, ...perRequest.finish]).toEqual([0, 19]);
  });

  it('count as one request in a closed loop', () => {
    const requests = [0, 1, 2, 3].map((i) => request(i, { arrival: 0, samples: 2 }));
    const { result, perRequest } = run({ requests, concurrency: 2 });
    expect(result.requests.finished).toBe(4);
    expect(Math.max(...result.timeline.map(({ running }) => running))).toBe(4);
    expect([...perRequest.arrival]).toEqual([0, 0, 20, 20]);
  });

  it('are rejected as one', () => {
    const long = request(0, { samples: 3, prompt: [0, 3000], promptTokens: 3000 });
    const { result } = run({ requests: [long, request(1, { samples: 2 })] });
    expect(result.requests).toMatchObject({ total: 2, finished: 1, rejected: 1 });
    expect(result.requests.rejections).toEqual([{ reason: expect.stringContaining('3000'), count: 1, first: 'r0' }]);
  });
});
