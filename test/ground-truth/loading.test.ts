// Weights on demand against what was published or read in the sources (presets/loading/*.yaml name them): how many of Aegaeon's models are
// active at a time, what waking a sleeping engine takes, ollama's five minutes and llama-swap's one model to the second on traces made by
// hand, schedules, and weights that stay on the CPU.
import { describe, expect, it } from 'vitest';
import { type PoolRun, poolSetup } from '../../src/commands/pool-setup.ts';
import { quietIo } from '../../src/io.ts';
import { findLoading } from '../../src/load/loading.ts';
import { resolvePool } from '../../src/load/pool.ts';
import { absent } from '../../src/sim/sharing/rivalry.ts';
import { type SharedHooks, simulateSharedRequests } from '../../src/sim/sharing/run.ts';
import type { SharedRun } from '../../src/sim/sharing/types.ts';
import type { LoadingPolicy } from '../../src/spec/sharing.ts';
import { type ModelShape, policyOf, sharedRun } from '../helpers/sharing.ts';

const GB = 1e9;

/** Models with blocks of a gigabyte on GPUs of a few, loaded at real rates: 20 GB/s over the link. */
function trace(room: number, shapes: readonly ModelShape[], loading: LoadingPolicy): SharedRun {
  const run = sharedRun(
    policyOf('oracle'),
    room * GB,
    shapes.map((shape) => ({ ...shape, weights: (shape.weights ?? 0) * GB, blockBytes: 1e7, max: GB })),
    loading,
  );
  const models = run.models.map((model) => ({
    ...model,
    weights: { ...model.weights, hostRate: 20 * GB, diskRate: loading.diskRate },
  }));
  return { ...run, models };
}

/** First tokens after so many seconds, by model; a step takes half a second. */
function waits(run: SharedRun, hooks: SharedHooks = {}): { ttft: number[][]; finish: number[][] } {
  const { requests } = simulateSharedRequests(run, hooks);
  return {
    ttft: requests.map(({ arrival, firstToken }) => [...firstToken].map((at, i) => at - arrival[i]!)),
    finish: requests.map(({ finish }) => [...finish]),
  };
}

const at = (...arrivals: number[]): { requests: { arrival: number; prompt: number; output: number }[] } => ({
  requests: arrivals.map((arrival) => ({ arrival, prompt: 4, output: 4 })),
});

async function runsOf(text: string): Promise<PoolRun[]> {
  return (await poolSetup(await resolvePool('-', { stdin: () => text }), quietIo())).runs;
}

async function firstRun(text: string): Promise<SharedRun> {
  const [one] = await runsOf(text);
  if (!one || !('run' in one)) throw new Error(one?.refused);
  return one.run;
}

describe("Aegaeon's 100 models", () => {
  // SOSP 2025, as cited: rate 0.037/s each, mean service 16.79 s, E[active] = 46.55. The rate is printed to two figures.
  const [models, rate, service, published] = [100, 0.037, 16.79, 46.55];
  const active = (perSecond: number): number => models * (1 - Math.exp(-perSecond * service));

  it('active at a time: M (1 - exp(-rate x service))', () => {
    expect(active(rate)).toBeCloseTo(46.27, 1);
    expect(published).toBeGreaterThan(active(rate - 0.0005));
    expect(published).toBeLessThan(active(rate + 0.0005));
  });

  it('are so many at a time when they are run', () => {
    // Each on a GPU of its own, as the figure counts who has a request in service; 33 or 34 steps of half a second.
    const seconds = 1500;
    const random = randomNumbers(11);
    const shapes = Array.from({ length: models }, (_, device): ModelShape => {
      const requests = [];
      const gap = (): number => -Math.log(1 - random()) / rate;
      for (let t = gap(); t < seconds; t += gap())
        requests.push({ arrival: t, prompt: 4, output: random() < 0.42 ? 33 : 34 });
      return { requests, devices: [device], slice: 1000, paged: { maxNumSeqs: 64 } };
    });
    const { result } = simulateSharedRequests(
      sharedRun(
        policyOf('static'),
        shapes.map(() => 1000),
        shapes,
      ),
    );
    const points = result.timeline.filter(({ t }) => t > 60 && t < seconds);
    const counts = points.map((point) => point.models.filter(({ running, waiting }) => running + waiting > 0).length);
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    // A count has a standard deviation of 5, about 80 of them are independent.
    expect(Math.abs(mean - published)).toBeLessThan(1.7);
  });
});

describe("vLLM's sleep mode", () => {
  it('wakes Qwen3-Coder-30B-A3B on an A100 in 2.85 to 2.89 s', async () => {
    const run = await firstRun(`gpu: a100-80gb
policy: static
loading: vllm-sleep
models:
  - { model: qwen3-coder-30b-a3b, weights: host, options: { max-model-len: 8192 }, workload: { ref: alpaca, rate: 1, limit: 3 } }
`);
    const { result } = simulateSharedRequests(run);
    const [{ loads }] = result.models as [(typeof result.models)[number]];
    expect(loads).toMatchObject({ fromHost: 1, fromDisk: 0 });
    expect(loads.seconds / 2.87).toBeGreaterThan(0.95);
    expect(loads.seconds / 2.87).toBeLessThan(1.05);
  });

  it('leaves contexts and graphs of sleeping engines on the GPU, and slices room for them', async () => {
    const text = (loading: string): string => `gpu: rtx4090
policy: static
loading: ${loading}
models:
  - { id: a, model: llama-3.1-8b, weights: host, options: { max-model-len: 8192 }, workload: { ref: alpaca, limit: 1 } }
  - { id: b, model: qwen2.5-7b, weights: host, options: { max-model-len: 8192 }, workload: { ref: alpaca, limit: 1 } }
  - { id: c, model: llama-3.2-3b, weights: host, options: { max-model-len: 8192 }, workload: { ref: alpaca, limit: 1 } }
`;
    const [sleeping, swapped] = await Promise.all([firstRun(text('vllm-sleep')), firstRun(text('llama-swap'))]);
    const [a, b, c] = sleeping.models as [SharedRun['models'][number], ...SharedRun['models'][number][]];
    for (const { contextBytes } of sleeping.models) expect(contextBytes).toBeGreaterThan(0.5 * GB);
    const asleep = b!.contextBytes + c!.contextBytes;
    expect(a.weightsBytes + a.otherBytes + a.sliceBytes + asleep).toBeLessThanOrEqual(sleeping.devices[0]!);
    expect(a.sliceBytes).toBeLessThan(swapped.models[0]!.sliceBytes);
    expect(simulateSharedRequests(sleeping).result.pool.requests.finished).toBe(3);
  });
});

describe("ollama's five minutes", () => {
  // server/sched.go, envconfig/config.go: 300 s from the last request; then a second until the memory is free, 0.6 s of a start, 5 GB/s.
  const ollama = findLoading('ollama');
  const served = 2;
  const load = 0.6 + 10 / 5;

  it('are counted from the end of the last request', () => {
    const disk = 0.6 + (10 * GB) / ollama.diskRate;
    const end = disk + served;
    const model = (second: number): ModelShape => ({ weights: 10, place: 'disk', ...at(0, second) });
    const early = trace(12, [model(end + 299.9)], ollama);
    expect(waits(early).ttft).toEqual([[close(disk + 0.5), close(0.5)]]);
    expect(simulateSharedRequests(early).result.models[0]!.loads).toMatchObject({ fromDisk: 1, fromHost: 0 });
    // A tenth of a second after it was let go: its memory has to come free first, then it is loaded out of the page cache.
    const late = trace(12, [model(end + 300.1)], ollama);
    expect(waits(late).ttft[0]![1]).toBeCloseTo(0.9 + load + 0.5, 6);
    const { loads } = simulateSharedRequests(late).result.models[0]!;
    expect(loads).toMatchObject({ fromDisk: 1, fromHost: 1, unloads: 1 });
    expect(loads.seconds).toBeCloseTo(disk + load, 6);
  });

  it('end early for a model that needs the room', () => {
    const shapes: ModelShape[] = [
      { weights: 10, place: 'resident', ...at(0) },
      { weights: 10, place: 'host', ...at(50) },
    ];
    expect(waits(trace(12, shapes, ollama)).ttft).toEqual([[close(0.5)], [close(1 + load + 0.5)]]);
    // With room for both nobody goes.
    expect(waits(trace(24, shapes, ollama)).ttft[1]).toEqual([close(load + 0.5)]);
  });
});

describe("llama-swap's one model", () => {
  const swap = findLoading('llama-swap');
  const shapes = [0, 1, 2].map(
    (model): ModelShape => ({ weights: 5, place: 'host', ...at(model / 100, 0.5 + model / 100) }),
  );

  it('makes A A B B C C of A B C A B C, and never holds two', () => {
    let most = 0;
    const { finish } = waits(trace(100, shapes, swap), {
      turned: ({ residency, models }) => {
        most = Math.max(most, models.filter((_, model) => residency.state(model) !== absent).length);
      },
    });
    expect(most).toBe(1);
    const ends = finish.flatMap((times, model) => times.map((time) => ({ time, model })));
    const order = ends.sort((a, b) => a.time - b.time || a.model - b.model).map(({ model }) => model);
    expect(order).toEqual([0, 0, 1, 1, 2, 2]);
  });

  it('takes the end of one process, the start of the next, and its bytes', () => {
    const { startSeconds, unloadSeconds, loaderRate } = swap;
    const load = startSeconds.host + (5 * GB) / loaderRate!;
    const run = trace(
      100,
      [at(0), at(20)].map((one): ModelShape => ({ weights: 5, place: 'host', ...one })),
      swap,
    );
    expect(waits(run).ttft).toEqual([[close(load + 0.5)], [close(unloadSeconds + load + 0.5)]]);
  });
});

describe('turns', () => {
  const aegaeon = findLoading('aegaeon');
  const shapes = (first: number, second: number): ModelShape[] => [
    { weights: 10, place: 'resident', requests: [{ arrival: first, prompt: 4, output: 40 }] },
    { weights: 10, place: 'host', ...at(second) },
  ];

  it('a load takes its time also when nobody was busy for long', () => {
    const run = trace(12, [{ weights: 10, place: 'resident', ...at(0) }, shapes(0, 100)[1]!], aegaeon);
    expect(waits(run).ttft[1]).toEqual([close(10 / 20 + 0.5)]);
  });

  it('a turn of four seconds begins with the first request of it', () => {
    // Idle from 0 to 100, busy from there: its turn is over at 104; no block of KV cache counts beside the weights.
    const [[ttft]] = waits(trace(12, shapes(100, 101), aegaeon)).ttft.slice(1) as [[number]];
    expect(ttft).toBeGreaterThanOrEqual(3 + 10 / 20 + 0.5);
    expect(ttft).toBeLessThan(3 + 10 / 20 + 0.5 + 0.6);
  });

  it('what is fetched ahead has its room, or is not fetched', async () => {
    // stage_engine.py: no prefetch where it leaves less than 1,024 blocks of 16 tokens: 8B models on 24 GB, and not on 80.
    const text = (gpu: string): string => `gpu: ${gpu}
policy: static
loading: aegaeon
models:
  - { id: a, model: llama-3.1-8b, weights: host, options: { max-model-len: 8192 }, workload: { ref: alpaca, limit: 2 } }
  - { id: b, model: qwen3-8b, weights: host, options: { max-model-len: 8192 }, workload: { ref: alpaca, limit: 2 } }
`;
    const [small, large] = await Promise.all([firstRun(text('rtx4090')), firstRun(text('a100-80gb'))]);
    expect(small.models.map(({ prefetchBytes }) => prefetchBytes)).toEqual([0, 0]);
    const [a, b] = large.models as [SharedRun['models'][number], SharedRun['models'][number]];
    expect([a.prefetchBytes, b.prefetchBytes]).toEqual([b.weightsBytes, a.weightsBytes]);
    for (const { weightsBytes, otherBytes, prefetchBytes, sliceBytes, blockBytes, run } of [a, b]) {
      expect(weightsBytes + otherBytes + prefetchBytes + sliceBytes).toBeLessThan(large.devices[0]!);
      expect(run.setup.paged.numBlocks).toBe(sliceBytes / blockBytes);
    }
  });
});

describe('a schedule', () => {
  it('has the model ready when its request comes, and not before its time', () => {
    const swap = findLoading('llama-swap');
    const shape = (preloadAt: number[]): ModelShape => ({ weights: 10, place: 'disk', preloadAt, ...at(30) });
    const disk = swap.startSeconds.disk + (10 * GB) / swap.diskRate;
    expect(waits(trace(12, [shape([])], swap)).ttft).toEqual([[close(disk + 0.5)]]);
    expect(waits(trace(12, [shape([10])], swap)).ttft).toEqual([[close(0.5)]]);
    // Begun two seconds before: the rest is waited for.
    expect(waits(trace(12, [shape([28])], swap)).ttft).toEqual([[close(disk - 2 + 0.5)]]);
  });
});

describe('weights on the CPU', () => {
  it('leave the GPU and come over the link in every step', async () => {
    const text = (options: string): string => `gpu: l40s
policy: static
models:
  - { model: llama-3.1-8b, options: { max-model-len: 8192${options} }, workload: { ref: alpaca, rate: 0.05, limit: 5 } }
  - { model: llama-3.2-1b, options: { max-model-len: 8192 }, workload: { ref: alpaca, rate: 0.05, limit: 5 } }
`;
    const [all, some] = await Promise.all([firstRun(text('')), firstRun(text(', cpu-offload-gb: 4'))]);
    const [whole, rest] = [all.models[0]!, some.models[0]!];
    // vLLM's offloader takes layers until 4 GiB are passed: 4,362,223,616 bytes of this model.
    const left = whole.weightsBytes - rest.weightsBytes;
    expect(left).toBe(16_094_109_696 - 11_731_886_080);
    expect(rest.sliceBytes).toBeGreaterThan(whole.sliceBytes + 0.9 * left);
    const [fast, slow] = [all, some].map(
      (run) => simulateSharedRequests(run).result.models[0]!.latency.tpotSeconds.p50,
    );
    expect((slow! - fast!) / (left / whole.weights.hostRate)).toBeCloseTo(1, 1);
  });
});

describe('policies and behaviours', () => {
  it('are run with each other, the chosen ones first', async () => {
    const runs = await runsOf(`gpu: a100-80gb
policy: [kvcached, static]
loading: [aegaeon, { preset: ollama, id: ollama-1h, keepAliveSeconds: 3600 }]
models: [{ model: llama-3.2-1b, workload: { ref: alpaca, limit: 2 } }]
`);
    expect(runs.map(({ policy, loading }) => `${policy.id} ${loading!.id}`)).toEqual([
      'kvcached aegaeon',
      'kvcached ollama-1h',
      'static aegaeon',
      'static ollama-1h',
    ]);
    const two =
      'gpu: l4\nloading: [ollama, { preset: ollama, maxLoaded: 1 }]\nmodels: [{ model: llama-3.2-1b, workload: alpaca }]\n';
    await expect(runsOf(two)).rejects.toThrow(/two loading behaviours are called ollama/);
  });
});

function close(value: number): number {
  return expect.closeTo(value, 6) as unknown as number;
}

/** mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
