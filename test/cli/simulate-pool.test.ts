// `vram simulate --pool FILE` as a user runs it. The law of the command: one model under a static policy is that model by itself, to the
// byte, whatever its engine, its load and its options.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SharedOutput } from '../../src/plan/shared-output.ts';
import { sharedOutputSchema } from '../../src/plan/shared-schema.ts';
import type { SingleRun } from '../../src/plan/simulate-output.ts';
import { expectCalm, expectRefused, put, type Ran, scratch, vram } from './run.ts';

function parsed(ran: Ran): SharedOutput {
  expectCalm(ran);
  const output = JSON.parse(ran.out) as SharedOutput;
  expect(sharedOutputSchema.safeParse(output).error?.issues).toBeUndefined();
  return output;
}

interface Alone {
  model: string;
  gpu: string;
  engine: string;
  options: Record<string, number | boolean>;
  workload: Record<string, number | string>;
}

const sharegpt = { ref: 'sharegpt', rate: '20/s', seed: 3 };
const llama = { model: 'llama-3.1-8b', gpu: 'rtx4090', engine: 'vllm', options: { 'max-model-len': 8192 } };

/** Each with something of its own: preemptions, synchronous steps, V0, a closed loop, cached prefixes, samples, several KV groups. */
const alone: Record<string, Alone> = {
  'preemptions under asynchronous scheduling': { ...llama, workload: { ...sharegpt, limit: 600 } },
  'synchronous scheduling': { ...llama, engine: 'vllm@0.9.0', workload: { ...sharegpt, limit: 400 } },
  'the V0 engine': { ...llama, engine: 'vllm@0.6.6', workload: { ...sharegpt, limit: 300 } },
  'a closed loop': { ...llama, workload: { ref: 'sharegpt', seed: 3, concurrency: 48, limit: 200 } },
  'conversations with cached prefixes': { ...llama, workload: { ref: 'chat', rate: '6/s', seed: 5, limit: 200 } },
  'samples without a prefix cache': {
    ...llama,
    options: { 'max-model-len': 8192, 'enable-prefix-caching': false },
    workload: { ...sharegpt, samples: 3, limit: 150 },
  },
  'windows and full attention': {
    model: 'gemma-3-12b',
    gpu: 'a100-80gb',
    engine: 'vllm@0.11.0',
    options: { 'max-model-len': 16384 },
    workload: { ref: 'chat', rate: '6/s', seed: 5, limit: 150 },
  },
  'steps of a fixed time': {
    ...llama,
    options: { 'max-model-len': 8192, 'step-time': 0.03 },
    workload: { ...sharegpt, limit: 200 },
  },
};

describe.concurrent('one model under a static policy is the model by itself', () => {
  it.each(Object.entries(alone))('%s', async (name, { model, gpu, engine, options, workload }) => {
    const file = put(
      `alone-${name.replaceAll(' ', '-')}.yaml`,
      JSON.stringify({ gpu, engine, policy: 'static', models: [{ model, options, workload }] }),
    );
    const { ref, ...more } = workload;
    const words = Object.entries({ ...options, ...more }).flatMap(([key, value]) =>
      value === false ? [`--no-${key}`] : [`--${key}`, String(value)],
    );
    const [ran, single] = await Promise.all([
      vram(['simulate', '--pool', file, '--json']),
      vram(['simulate', '-m', model, '-g', gpu, '--engine', engine, '-w', String(ref), ...words, '--json']),
    ]);
    const [entry] = parsed(ran).result.models;
    const { result } = JSON.parse(single.out) as { result: SingleRun };
    expect(result.requests.finished).toBeGreaterThan(0);
    for (const [key, value] of Object.entries(result))
      expect(JSON.stringify(entry![key as keyof typeof entry]), key).toBe(JSON.stringify(value));
  });
});

const two = {
  gpu: 'a100-80gb',
  policy: 'kvcached',
  compare: ['static', 'oracle'],
  models: [
    {
      id: 'a',
      model: 'llama-3.1-8b',
      options: { 'max-model-len': 8192 },
      workload: { ref: 'alpaca', rate: 4, limit: 60 },
    },
    { id: 'b', model: 'qwen3-8b', options: { 'max-model-len': 8192 }, workload: { ref: 'alpaca', rate: 2, limit: 40 } },
  ],
};
const pool = put('two.yaml', JSON.stringify(two));

describe.concurrent('several policies', () => {
  it('the chosen one first, the others beside it, the same from run to run', async () => {
    const [ran, again] = await Promise.all([
      vram(['simulate', '--pool', pool, '--json']),
      vram(['simulate', '--pool', pool, '--json', '--jobs', '1']),
    ]);
    const { input, result } = parsed(ran);
    expect(again.out).toBe(ran.out);
    expect(input.pool.policies).toEqual(['kvcached', 'static', 'oracle']);
    expect(result.policy).toBe('kvcached');
    expect(result.models.map(({ id }) => id)).toEqual(['a', 'b']);
    for (const { pool: sums } of result.policies)
      expect(sums.requests).toEqual({ total: 100, finished: 100, rejected: 0 });
    expect(result.models.every(({ pages }) => pages.mapped > 0)).toBe(true);
    expect(result.advice?.policy).toBe('static');
  });

  it('--policy goes before the file', async () => {
    const { input, result } = parsed(await vram(['simulate', '--pool', pool, '--policy', 'expand', '--json']));
    expect(input.pool.policies).toEqual(['expand']);
    expect(result.policies).toHaveLength(1);
    expect(result.advice).toBeNull();
  });

  it('--loading: every policy with each, before what the file says, whose own behaviours keep their fields', async () => {
    const file = put(
      'loads.yaml',
      JSON.stringify({ ...two, loading: ['llama-swap', { preset: 'ollama', id: 'short', keepAliveSeconds: 1 }] }),
    );
    const words = ['simulate', '--pool', file, '--json', '--policy', 'kvcached,static'];
    const [ran, again] = await Promise.all([vram(words), vram([...words, '--loading', 'Short,vllm-sleep'])]);
    const [{ input, result }, other] = [parsed(ran), parsed(again)];
    expect(input.pool).toMatchObject({ policy: 'kvcached', loading: 'llama-swap', policies: ['kvcached', 'static'] });
    expect(input.pool.loadings.map(({ id }) => id)).toEqual(['llama-swap', 'short']);
    expect(result).toMatchObject({ policy: 'kvcached', loading: 'llama-swap' });
    expect(result.policies.map(({ policy, loading }) => `${policy} ${loading}`)).toEqual([
      'kvcached llama-swap',
      'kvcached short',
      'static llama-swap',
      'static short',
    ]);
    expect(other.input.pool.loadings.map(({ id }) => id)).toEqual(['short', 'vllm-sleep']);
    // Nobody has to go on 80 GB, but who is idle for a second goes.
    const unloads = other.result.policies.map(({ pool: { unloads: count } }) => count);
    expect(unloads[0]).toBeGreaterThan(0);
    expect(unloads[1]).toBe(0);
  });

  it('--find-max-rate: the load that each policy holds', async () => {
    const { result } = parsed(
      await vram(['simulate', '--pool', pool, '--policy', 'kvcached,static', '--find-max-rate', '--json']),
    );
    for (const { maxRate } of result.policies) {
      expect(maxRate!.scale).toBeGreaterThan(0);
      for (const { scale, holds } of maxRate!.trials) expect(holds).toBe(scale <= maxRate!.scale!);
    }
    expect(result.advice?.figure).toMatch(/maxRate|pool/);
  });

  it('writes a timeline, fits 80 columns, and asserts', async () => {
    const svg = join(scratch, 'held.svg');
    const ran = await vram(['simulate', '--pool', pool, '--timeline', svg, '--require', 'pool.preemptions==0']);
    expectCalm(ran);
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg/);
    expect(Math.max(...ran.out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    const requests = join(scratch, 'requests.csv');
    expectCalm(await vram(['simulate', '--pool', pool, '--policy', 'kvcached', '--per-request', requests]));
    const lines = readFileSync(requests, 'utf8').trim().split('\n');
    expect(lines[0]).toMatch(/^model,id,arrival,/);
    expect(lines.filter((line) => line.startsWith('a,'))).toHaveLength(60);
    expect(lines).toHaveLength(101);
    const failed = await vram(['simulate', '--pool', pool, '--require', 'pool.sloAttainment>1']);
    expect(failed.code).toBe(1);
  });
});

describe.concurrent('KV offloading in a pool', () => {
  // Short of memory, with prefixes on the host: who waits for a transfer goes on when it has arrived, under every policy.
  it.each(['static', 'kvcached', 'expand', 'muxserve', 'oracle'])('%s serves everybody', async (policy) => {
    const model = {
      options: { 'max-model-len': 8192, 'kv-offloading-size': 8 },
      workload: { ref: 'chat', rate: 3, limit: 150 },
    };
    const file = put(
      `offload-${policy}.yaml`,
      JSON.stringify({
        gpu: 'rtx4090',
        policy,
        models: [
          { id: 'a', model: 'qwen3-4b', ...model },
          { id: 'b', model: 'llama-3.2-3b', ...model },
        ],
      }),
    );
    const { result } = parsed(await vram(['simulate', '--pool', file, '--json']));
    for (const { requests, offload } of result.models) {
      expect(requests).toMatchObject({ total: 150, finished: 150, rejected: 0 });
      expect(offload!.loadedBlocks).toBeGreaterThan(0);
    }
  });
});

describe.concurrent('what is refused', () => {
  it.each([
    [['--model', 'llama-3.1-8b'], /--model and --pool exclude each other/],
    [['--workload', 'chat'], /--workload and --pool exclude each other/],
    [['--sweep', 'max-num-seqs=1,2'], /--sweep and --pool exclude each other/],
    [['--policy', 'kvcachd'], /did you mean kvcached/],
    [['--loading', 'olama'], /there is no loading behaviour "olama"[\s\S]*did you mean ollama/],
    [['--format', 'docker'], /docker/],
  ] as const)('%s', async (words, says) => {
    expectRefused(await vram(['simulate', '--pool', pool, ...words]), 2, [says]);
  });

  it('a file that is not there', async () => {
    const ran = await vram(['simulate', '--pool', join(scratch, 'nowhere.yaml')]);
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.err).toMatch(/nowhere\.yaml/);
  });
});
