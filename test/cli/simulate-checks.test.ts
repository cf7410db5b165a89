// What `vram simulate` refuses, and what it tells of options that nothing reads: one clear message with place and remedy, never a
// stack, never a file left behind.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { expectRefused, program, put, scratch, vram } from './run.ts';

const rows = [0, 1].map((i) => JSON.stringify({ id: `r${i}`, arrival: i, prompt: [{ range: [0, 100] }], output: 20 }));
put('two.jsonl', `${rows.join('\n')}\n`);
const pool = ['simulate', '--kv-group', 'full', '--num-gpu-blocks', '200', '--step-time', '1', '--no-advice'];
const blocks = [...pool, '--workload', 'two.jsonl'];
const ngram = '{"method":"ngram","num_speculative_tokens":3}';

describe.concurrent('refused', () => {
  it.each<[args: string[], says: string]>([
    [['--policy', 'constructor'], 'there is no policy "constructor"'],
    [['--policy', '__proto__'], 'there is no policy "__proto__"'],
    [['--policy', ','], '--policy names nothing'],
    [['--sweep', 'block-size=8', '--sweep', 'block-size=16'], 'block-size is swept twice'],
    [['-o', 'one.json', '--per-request', './one.json'], 'both write to ./one.json'],
    [['-o', './two.jsonl'], '--output would overwrite what --workload reads'],
    [['--tp', '1', '--tensor-parallel-size', '2'], 'are one option'],
    [['--speculative-config', '{}'], 'neither a method nor a draft model'],
    [['--speculative-config', '{"method":"zzz","num_speculative_tokens":3}'], 'there is no method "zzz"'],
    [['--speculative-config', '{"method":"ngram","num_speculative_tokens":-3}'], 'must be 1 to 64, not -3'],
    [['--speculative-config', '{"method":"ngram","num_speculative_tokens":1000000}'], 'must be 1 to 64'],
    [['--speculative-config', '{"method":"ngram"}'], 'it is missing'],
    [['--rate', '1e9'], 'a rate of at most 1000000'],
    [['--num-gpu-blocks', '1e9'], 'at most 16777216'],
    [['--run-config', 'x.json', '--cache-only'], '--cache-only'],
  ])('%j', async (args, says) => {
    expectRefused(await vram([...blocks, ...args]), 2, [says]);
  });
});

describe.concurrent('told', () => {
  it.each<[args: string[], says: string]>([
    [['--rate', '1x', '--rate', '2x'], '--rate is given more than once: the last one counts'],
    [['--acceptance-rate', '0.5'], 'without effect: --acceptance-rate'],
    [['--think', '3'], 'without effect: --think'],
    [['--workload-model', 'gpt'], 'without effect: --workload-model'],
    [['--capacity-blocks', '10'], 'without effect: --capacity-blocks'],
    [['--cache-only', '--rate', '2x', '-m', 'qwen3-8b'], 'without effect: --model, --rate'],
    [['--speculative-config', ngram, '--policy', 'v0,paged'], 'no drafts are simulated under v0'],
    [['--speculative-config', ngram, '--engine', 'vllm@0.6.6'], 'no drafts are simulated under v0'],
    [['--engine', 'vllm@0.8.5', '--kv-offloading-size', '4'], '--kv-offloading-size comes with 0.11.2'],
    [['--sweep', 'block-size=8,16'], 'pools of different bytes'],
    [['--limit', '1e1'], 'every step lasts'],
  ])('%j', async (args, says) => {
    const ran = await vram([...blocks, ...args]);
    expect(ran.code).toBe(0);
    expect(ran.said + ran.out.replace(/\s+/g, ' ')).toContain(says);
  });

  it('async scheduling with drafts where a release has not both', async () => {
    const asked = [...blocks, '--speculative-config', ngram.replace('ngram', 'eagle'), '--async-scheduling'];
    const [old, later] = await Promise.all([
      vram([...asked, '--engine', 'vllm@0.11.0']),
      vram([...asked, '--engine', 'vllm@0.11.2']),
    ]);
    expect([old.code, later.code]).toEqual([1, 0]);
    expect(old.out).toContain('does not combine --async-scheduling');
    expect(later.out).toContain('drafted tokens accepted');
  });

  it('GPUs that no rank runs on', async () => {
    const ran = await vram(['simulate', '-m', 'qwen3-8b', '-g', '2x a100-40gb', '-w', 'two.jsonl', '--no-advice']);
    expect(ran.said).toContain('1 of the 2 GPUs is used');
  });

  it('ids of requests, harmless and cut', async () => {
    const id = `\u001b[31m${'x'.repeat(100_000)}`;
    put('long-id.jsonl', `${JSON.stringify({ id, arrival: 0, input: 9000, output: 2 })}\n`);
    const args = [...pool, '--workload', 'long-id.jsonl', '--max-model-len', '512', '--per-request', 'ids.csv'];
    const ran = await vram(args);
    expect(ran.out).not.toContain('\u001b');
    expect(ran.out.length).toBeLessThan(2000);
    expect(readFileSync(join(scratch, 'ids.csv'), 'utf8').length).toBeLessThan(1000);
  });
});

describe.concurrent('run files', () => {
  const config = { numBlocks: 64, blockSize: 16, maxNumSeqs: 4, maxNumBatchedTokens: 256, maxModelLen: 512 };
  const file = (name: string, changes: object, engine = 'vLLM 0.21.0', engines?: string[]): string =>
    put(
      `configs/${name}.json`,
      JSON.stringify({
        format: 'vram-scheduler-runs/1.1',
        engine,
        runs: [
          { id: 'one', workload: '../two.jsonl', ...(engines ? { engines } : {}), config: { ...config, ...changes } },
        ],
      }),
    );
  const groups = (second: object): object => ({ groups: [{ type: 'full' }, second] });

  it.each<[name: string, file: () => string, says: string]>([
    ['a window', () => file('a', groups({ type: 'sliding' })), 'groups[1].window: is missing'],
    ['a chunk', () => file('b', groups({ type: 'chunked' })), 'groups[1].chunk: is missing'],
    ['the pool', () => file('c', { numBlocks: 9e8 }), 'numBlocks: Too big'],
    ['a pool beyond counting', () => file('d', { numBlocks: 1e15 }), 'numBlocks'],
    ['ranks', () => file('e', { dcp: 1e9 }), 'dcp: Too big'],
    ['another engine', () => file('f', {}, 'sglang 0.4'), 'only runs of vllm'],
    ['another engine in a run', () => file('g', {}, 'vllm', ['sglang@0.4']), 'engines[0]: not a release of vLLM'],
  ])('%s', async (_name, path, says) => {
    expectRefused(await vram(['simulate', '--run-config', path()]), 2, [says]);
  });

  it.each([7, 24])('blocks of 16 and %s tokens run, or are refused as the release does', async (blockSize) => {
    const path = file(`mixed-${blockSize}`, groups({ type: 'sliding', window: 64, blockSize }));
    const [runs, refused] = await Promise.all([
      vram(['simulate', '--run-config', path, '--engine', 'vllm@0.24.0']),
      vram(['simulate', '--run-config', path, '--engine', 'vllm@0.18.0']),
    ]);
    expect(runs.code).toBe(0);
    expectRefused(refused, 2, ['it cannot cache a group with blocks of']);
  });

  it('take a retention interval, and say how many runs are exact', async () => {
    const path = put(
      'configs/several.json',
      JSON.stringify({
        format: 'vram-scheduler-runs/1.1',
        engine: 'vLLM 0.21.0',
        runs: [
          { id: 'good', workload: '../two.jsonl', config: { ...config, retentionInterval: 0 }, expect: { steps: 21 } },
          { id: 'bad', workload: '../two.jsonl', engines: ['0.24.0', '0.33.0'], config, expect: { steps: 1 } },
        ],
      }),
    );
    const ran = await vram(['simulate', '--run-config', path]);
    expect(ran.code).toBe(1);
    for (const name of ['good@0.21.0', 'bad@0.24.0', 'bad@0.33.0']) expect(ran.out).toContain(name);
    expect(ran.out.trimEnd().split('\n').at(-1)).toBe('1 of 3 runs exact');
  });
});

describe.concurrent('events', () => {
  it('say for whom a block is taken, and which are hits', async () => {
    expect((await vram([...blocks, '--events', 'hits.jsonl'])).code).toBe(0);
    const events = readFileSync(join(scratch, 'hits.jsonl'), 'utf8').trim().split('\n');
    const of = (name: string): { request: string }[] =>
      events.map((line) => JSON.parse(line)).filter(({ event }) => event === name);
    expect(new Set(of('taken').map(({ request }) => request))).toEqual(new Set(['r0', 'r1']));
    expect(of('shared').map(({ request }) => request)).toEqual(Array(6).fill('r1'));
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('%s leaves no file behind', async (signal) => {
    const name = `broken-${signal}.jsonl`;
    const workload = 'poisson:rate=50,input=200,output=400,requests=200000';
    const args = [program, ...pool, '-w', workload, '--events', name];
    const child = spawn(process.execPath, args, { cwd: scratch, stdio: 'ignore' });
    const ended = new Promise((done) => child.on('exit', (_code, by) => done(by)));
    await pause(2500);
    child.kill(signal);
    expect(await ended).toBe(signal);
    expect(readdirSync(scratch).filter((file) => file.startsWith(name))).toEqual([]);
  });
});

describe.concurrent('the highest rate', () => {
  const search = ['simulate', '-m', 'qwen3-8b', '-g', 'a100-80gb', '--find-max-rate'];

  it('heads its figures, and none are shown where no rate holds', async () => {
    const workload = ['-w', 'poisson:rate=1,input=100,output=20,requests=5'];
    const ran = await vram([...search, ...workload, '--slo', 'tpot_mean<1us']);
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/the lowest was\s+0\.000244x/);
    expect(ran.out).not.toContain('SERVED');
    const found = await vram([...search, ...workload, '--slo', 'ttft_p99<10s']);
    expect(found.out).toContain('poisson arrivals at 4096x');
  });
});
