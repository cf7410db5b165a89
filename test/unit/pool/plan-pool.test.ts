// `vram plan --pool` as a person and a program see it: the contract's shape, every form, 80 columns, what does not go beside it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { InputError } from '../../../src/diagnostics.ts';
import type { PoolOutput } from '../../../src/plan/sharing/output.ts';
import { poolOutputSchema } from '../../../src/plan/sharing/schema.ts';
import { type Ran, vramPlan } from '../../ground-truth/in-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'vram-pool-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string, name = 'pool.yaml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const two = `gpu: a100-80gb
policy: kvcached
models:
  - { id: a, model: llama-3.1-8b, options: { max-model-len: 8192 } }
  - { id: b, model: qwen3-8b, options: { max-model-len: 8192 } }
`;

async function plan(text: string, ...words: string[]): Promise<Ran> {
  return vramPlan(['--pool', file(text), ...words]);
}

describe('plan --pool', () => {
  it('answers in the shape of the contract, and the same bytes again', async () => {
    const ran = await plan(two, '--json');
    const output = JSON.parse(ran.out) as PoolOutput;
    expect(ran.code).toBe(0);
    expect(output).toMatchObject({
      schemaVersion: 1,
      command: 'plan',
      input: { pool: { policy: 'kvcached', loading: null } },
    });
    const { policies } = output.result;
    expect(policies[0]!.policy).toBe('kvcached');
    expect(new Set(policies.map(({ kind }) => kind))).toEqual(
      new Set(['static', 'expand', 'kvcached', 'muxserve', 'oracle']),
    );
    for (const { policy, fits, models, sharedBytes } of policies) {
      expect([typeof policy, typeof fits, typeof sharedBytes]).toEqual(['string', 'boolean', 'number']);
      expect(models.map(({ id }) => id)).toEqual(['a', 'b']);
      for (const one of models)
        for (const key of ['weightsBytes', 'contextBytes', 'activationBytes', 'kvCacheBytes'] as const)
          expect(Number.isSafeInteger(one[key]) && one[key] >= 0).toBe(true);
    }
    expect(poolOutputSchema.safeParse(output).error?.issues).toBeUndefined();
    expect((await plan(two, '--json')).out).toBe(ran.out);
    expect(parse((await plan(two, '--format', 'yaml')).out)).toEqual(output);
    // Left out, and said so: no model has a workload.
    expect(policies.some(({ policy }) => policy === 'static-load')).toBe(false);
    expect(output.diagnostics.map(({ code }) => code)).toEqual(['VRAM737']);
  });

  it('a command for every engine of a static split, with its utilization and a port of its own', async () => {
    const { out } = await plan(two.replace('a100-80gb', '2x a100-80gb').replace('kvcached', 'static'), '--json');
    const [slices] = (JSON.parse(out) as PoolOutput).result.policies;
    expect(slices!.models.map(({ command }) => command)).toEqual([
      'CUDA_VISIBLE_DEVICES=1 vllm serve meta-llama/Llama-3.1-8B --max-model-len 8192 --max-num-seqs 256 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92 --port 8000',
      'CUDA_VISIBLE_DEVICES=0 vllm serve Qwen/Qwen3-8B --max-model-len 8192 --max-num-seqs 256 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92 --port 8001',
    ]);
  });

  it('stays within 80 columns, whatever things are called', async () => {
    const long = 'a-name-that-somebody-thought-was-a-good-idea-because-it-says-everything-there-is-to-say-0123456789';
    const models = Array.from(
      { length: 3 },
      (_, i) => `  - { id: "${long}\\u202e${i}", model: llama-3.1-8b, options: { max-model-len: 8192 } }`,
    );
    await expect(plan(`gpu: a100-80gb\nmodels:\n${models.join('\n')}\n`)).rejects.toThrow(/control characters/);
    for (const policy of ['static', 'expand', 'kvcached', 'muxserve', 'oracle']) {
      const text = `name: ${long}${long}\ngpu: 2x h200\npolicy: ${policy}\nmodels:\n${models.join('\n').replaceAll('\\u202e', '')}\n`;
      const ran = await plan(text, '--explain');
      for (const line of `${ran.out}${ran.err}`.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80);
    }
  });

  it('says what sharing adds in figures, and where each figure comes from', async () => {
    const { out } = await plan(two, '--explain');
    expect(out).toMatch(/FITS {2}kvcached: both models run at once; [\d.]+ GiB of KV cache to share/);
    expect(out.replace(/\s+/g, ' ')).toMatch(
      /What sharing adds \(kvcached against static\): while the others keep their minimum, a [\d,]+ tokens instead of [\d,]+ \(\d\.\d\dx\)/,
    );
    expect(out).toMatch(/static: utilization, exact\n {2}total \/ engines/);
    expect(out).toMatch(/a: weights \(GPU 0\): 14\.99 GiB, \d+ bytes, exact/);
  });

  it('has Markdown and CSV', async () => {
    const markdown = (await plan(two, '--format', 'markdown')).out;
    expect(markdown).toMatch(/^# pool\n\n2 models on NVIDIA A100-SXM4-80GB/);
    expect(markdown).toContain('**FITS**');
    expect(markdown).toMatch(/\| a \| 14\.99 \|/);
    const rows = (await plan(two, '--format', 'csv')).out.trim().split('\r\n');
    expect(rows[0]).toMatch(
      /^policy,fits,model,devices,utilization,weightsBytes,contextBytes,activationBytes,kvCacheBytes,/,
    );
    expect(rows).toHaveLength(1 + 2 * 6);
    expect(rows[1]).toMatch(/^kvcached,true,a,0,,\d+/);
  });

  it('checks requirements over the result', async () => {
    expect((await plan(two, '--json', '--require', 'policies[0].sharedBytes>=1000000000')).code).toBe(0);
    const failed = await plan(two, '--json', '--require', 'policies[0].models[1].kvTokens>=100000000');
    expect(failed.code).toBe(1);
    expect(failed.err).toContain('requirement failed');
  });

  it('ends with 1 where the chosen policy does not fit, and with 0 where models take turns', async () => {
    const small = two.replace('a100-80gb', 'rtx4090');
    const ran = await plan(small);
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/DOES NOT FIT {2}kvcached: weights, contexts, activations of 2 models need/);
    const refused = JSON.parse((await plan(small, '--json')).out) as PoolOutput;
    expect(poolOutputSchema.safeParse(refused).error?.issues).toBeUndefined();
    const turns = await plan(`${small}loading: llama-swap\n`);
    expect(turns.code).toBe(0);
    expect(turns.out).toContain('TAKES TURNS');
  });

  it.each([
    [['--model', 'llama-3.1-8b'], '--model'],
    [['--gpu', 'l4'], '--gpu'],
    [['--max-model-len', '4096'], '--max-model-len'],
    [['-q', 'fp8'], '--quantization'],
    [['--matrix'], '--matrix'],
    [['--auto-parallel'], '--auto-parallel'],
    [['--from-command', 'vllm serve x'], '--from-command'],
    [['-ngl', '3'], '--n-gpu-layers'],
    [['--', 'vllm', 'serve', 'x'], 'existing command'],
  ])('%j does not go beside it', async (words, named) => {
    const error = (await plan(two, ...words).catch((thrown: unknown) => thrown)) as InputError;
    expect(error).toBeInstanceOf(InputError);
    const [first] = error.diagnostics;
    expect(first!.code).toBe('VRAM736');
    expect(first!.message).toContain(named);
    expect(first!.hint).toContain('the pool file names');
  });

  it('refuses other forms, and names the nearest', async () => {
    await expect(plan(two, '--format', 'svg')).rejects.toMatchObject({ diagnostics: [{ code: 'VRAM154' }] });
  });
});
