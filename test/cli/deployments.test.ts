// Every shipped deployment is planned: what fits holds its requirement, the originals that cannot run do not fit and say why, and each
// claim of theirs stands beside the planned figure. Then `--deployment` as it is typed.
import { describe, expect, it } from 'vitest';
import { run as runSimulate } from '../../src/commands/simulate.ts';
import { InputError } from '../../src/diagnostics.ts';
import { loadPresets } from '../../src/load/presets.ts';
import type { PlanOutput } from '../../src/plan/output.ts';
import { planOutputSchema } from '../../src/plan/schema.ts';
import { inProcess, planJson, vramPlan } from '../ground-truth/in-process.ts';
import { expectCalm, expectRefused, put, scratch, vram } from './run.ts';

const presets = loadPresets('deployments');
const deployment = (id: string, ...more: string[]): Promise<PlanOutput> => planJson(['--deployment', id, ...more]);

/** Why each original cannot run: the reason of the plan, or the engine's error. */
const reasons: Readonly<Record<string, RegExp>> = {
  'themisdb-rtx4090-24gb-original': /^8 sequences of 4,096 tokens do not fit at once$/,
  'themisdb-rtx4090-13b-original': /^the weights alone need 24\.\d\d GiB of GPU 0$/,
  'themisdb-a100-80gb-original': /^the weights alone need 128\.\d\d GiB of GPU 0$/,
  'themisdb-2x-rtx4090-original': /^the weights alone need 64\.\d\d GiB of GPU 0$/,
  'themisdb-4x-a100-pipeline-original': /max_position_embeddings=4096/,
  'themisdb-4x-a100-tensor-original': /max_position_embeddings=4096/,
  'themisdb-config-rtx4090-original': /^the KV cache does not fit on GPU 0 \(64\.00 GiB\)$/,
  'themisdb-a100-40gb-original': /max_position_embeddings=4096/,
  'themisdb-4x-rtx6000-ada-original': /^64 sequences of 16,384 tokens do not fit at once$/,
};

describe('shipped deployments', () => {
  it.each(presets.map((preset) => [preset.id, preset] as const))('%s', async (id, preset) => {
    const { code, out } = await vramPlan(['--deployment', id, '--json']);
    const output = JSON.parse(out) as PlanOutput;
    const { verdict, workload, deployment: told } = output.result;
    expect(planOutputSchema.safeParse(output).error?.issues ?? []).toEqual([]);
    expect(workload).toMatchObject(preset.requirement!);
    expect(told).toMatchObject({ id, intent: preset.intent });
    if (preset.fits) {
      expect([code, verdict.fits, workload!.fits]).toEqual([0, true, true]);
      expect(verdict.headroomGiB).toBeGreaterThan(0.5);
      expect(output.diagnostics.filter(({ severity }) => severity !== 'note')).toEqual([]);
    } else {
      expect(code).toBe(1);
      expect(verdict.engineError?.includes('max_model_len') ? verdict.engineError : verdict.reason).toMatch(
        reasons[id]!,
      );
      expect(told!.claims.find(({ claimed }) => claimed === 'yes')?.verdict).toBe('wrong');
    }
  });

  it('are pairs: every original that cannot run has a corrected one for the same GPUs that says what it changes', () => {
    const originals = presets.filter(({ fits }) => !fits);
    expect(originals.map(({ id }) => id).sort()).toEqual(Object.keys(reasons).sort());
    for (const { id, gpu } of originals) {
      const corrected = presets.find(({ corrects }) => corrects === id)!;
      expect([corrected.gpu, corrected.fits, `${corrected.id}-original`]).toEqual([gpu, true, id]);
      expect(corrected.changes!.length).toBeGreaterThan(0);
    }
  });

  it('hold ten of the most served models, with the figure that says so', () => {
    const served = presets.filter(({ id }) => !/^themisdb|^llama-2/.test(id));
    expect(served).toHaveLength(10);
    for (const { sources } of served) expect(sources.join()).toMatch(/place \d/);
  });
});

describe('claims', () => {
  it('of the A100 template: 28 GB of weights are 128.48 GiB, 32 GB of cache are 80, 35 GB for a sequence of 8K are 2.5', async () => {
    const { result } = await deployment('themisdb-a100-80gb-original');
    const by = (what: string) => result.deployment!.claims.find((claim) => claim.what.startsWith(what))!;
    expect(by('model_weights')).toMatchObject({ claimed: '28 GB', planned: '128.48 GiB', verdict: 'wrong' });
    expect(by('kv_cache_static')).toMatchObject({ claimed: '32 GB', planned: '80.00 GiB', verdict: 'wrong' });
    expect(by('KV cache of one')).toMatchObject({ claimed: '35 GB', planned: '2.50 GiB', verdict: 'wrong' });
    expect(by('throughput')).toMatchObject({ planned: null, verdict: 'unverifiable' });
  });

  it('are right where they are: 26 GB for 13B, 18 GB a GPU for 70B in 4 bit', async () => {
    const thirteen = (await deployment('themisdb-rtx4090-13b-original')).result.deployment!;
    expect(thirteen.claims.find(({ what }) => what === 'weights')!.verdict).toBe('right');
    const two = (await deployment('themisdb-2x-rtx4090')).result.deployment!;
    expect(two).toMatchObject({ corrects: 'themisdb-2x-rtx4090-original', claims: [{ verdict: 'right' }] });
  });

  it('are held against the plan that was asked for', async () => {
    const { result } = await deployment('themisdb-rtx4090-13b-original', '--gpu', 'l40s', '--concurrency', '4');
    expect(result.deployment!.claims[0]).toMatchObject({ claimed: 'yes', planned: 'yes', verdict: 'right' });
  });

  it('stand below the table in 80 columns, and in Markdown', async () => {
    const table = await vramPlan(['--deployment', 'themisdb-a100-80gb-original']);
    expect(table.out).toMatch(/^wrong {9}model_weights: 28 GB; planned: 128\.48 GiB$/m);
    expect(table.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
    const corrected = await vramPlan(['--deployment', 'themisdb-a100-80gb']);
    expect(corrected.out).toMatch(/^Corrected from themisdb-a100-80gb-original$/m);
    const markdown = await vramPlan(['--deployment', 'themisdb-a100-80gb-original', '--format', 'markdown']);
    expect(markdown.out).toContain('| model\\_weights | 28 GB | 128.48 GiB | wrong |');
  });
});

describe('--deployment', () => {
  it('is what the same options give', async () => {
    const line = '-m TheBloke/Llama-2-7B-Chat-AWQ -g rtx4090 --gpu-memory-utilization 0.9 --max-model-len 4096';
    const typed = await planJson([
      ...line.split(' '),
      '--block-size',
      '16',
      '--max-num-seqs',
      '256',
      '--context',
      '4096',
      '--concurrency',
      '6',
    ]);
    const { result, input } = await deployment('llama-2-7b-chat-awq');
    const { deployment: _, ...rest } = result;
    expect(rest).toEqual(typed.result);
    expect(input).toEqual(typed.input);
  });

  it('gives way to options beside it, before or behind, short or long', async () => {
    const base = 'themisdb-4x-a100-tensor';
    expect((await deployment(base, '--tp', '8', '-g', '8x a100-80gb-sxm')).input.parallel.tp).toBe(8);
    expect((await deployment(base, '--tensor-parallel-size', '2', '--gpu', '2x h200-sxm')).input.parallel.tp).toBe(2);
    const before = await planJson(['--concurrency', '3', '--deployment', base]);
    expect(before.result.workload).toMatchObject({ context: 8192, concurrency: 3 });
    const off = await deployment('qwen3-4b', '--no-enable-prefix-caching');
    expect(off.input.engine.options).toMatchObject({ enablePrefixCaching: false });
  });

  it('takes a file with the same keys, its environment, and refuses unknown keys and options', async () => {
    const head =
      'id: mine\nname: Mine\ndescription: d\nintent: i\nmodel: qwen3-8b\ngpu: l40s\nfits: true\nsources: [me]\n';
    const file = put('mine.yaml', `${head}environment: { VLLM_USE_FLASHINFER_SAMPLER: "0" }\n`);
    const ran = await vram(['plan', '--deployment', file, '--json']);
    expect(ran.code).toBe(0);
    expect((JSON.parse(ran.out) as PlanOutput).result.command).toMatch(/^VLLM_USE_FLASHINFER_SAMPLER=0 vllm serve /);
    const short = put('short.yaml', 'model: qwen3-8b\ngpu: l40s\n');
    const least = JSON.parse((await vram(['plan', '--deployment', short, '--json'])).out) as PlanOutput;
    expect(least.result.deployment).toMatchObject({ id: 'short', name: 'short', claims: [] });
    const wrong = put('wrong.yaml', `${head}option: { tp: 2 }\n`);
    expectRefused(await vram(['plan', '--deployment', wrong]), 2, ['option: unknown key', 'did you mean options?']);
    const unknown = put('unknown.yaml', `${head}options: { max-modle-len: 4096 }\n`);
    expectRefused(await vram(['plan', '--deployment', unknown]), 2, ['max-modle-len', 'VRAM171']);
    const claim = put('claim.yaml', `${head}claims: [{ what: w, claimed: much, of: weights, because: b }]\n`);
    expectRefused(await vram(['plan', '--deployment', claim]), 2, [
      'claims.0.claimed: cannot be read as such a figure',
    ]);
  });

  it('goes by the name that a template has where it comes from', async () => {
    for (const name of ['rtx4090_24gb', 'a100_80gb', 'multi_gpu_hybrid']) {
      const { code, out } = await vramPlan(['--deployment', name, '--json']);
      expect(code).toBe(0);
      const { deployment } = (JSON.parse(out) as { result: { deployment: { id: string } } }).result;
      expect(deployment.id).toBe(`themisdb-${name.replaceAll('_', '-')}`);
    }
  });

  it('refuses an unknown name, and an existing command beside it', async () => {
    expectRefused(await vram(['plan', '--deployment', 'themisdb-a100-80g']), 2, [
      'VRAM170',
      'did you mean themisdb-a100',
    ]);
    const both = vramPlan(['--deployment', 'qwen3-4b', '--from-command', 'vllm serve Qwen/Qwen3-4B']);
    await expect(both).rejects.toThrow(InputError);
    await expect(both).rejects.toThrow(/both say what is served/);
  });

  it('is simulated too', async () => {
    const args = ['--deployment', 'qwen3-4b', '-w', 'sharegpt:requests=20', '--no-advice', '--json'];
    const { code, out } = await inProcess(runSimulate, args);
    expect(code).toBe(0);
    const { input, result } = JSON.parse(out) as { input: { model: { id: string } }; result: { requests: object } };
    expect(input.model.id).toBe('qwen3-4b');
    expect(result.requests).toMatchObject({ total: 20, finished: 20 });
  });

  it('is listed, shown, described and completed', async () => {
    const list = await vram(['list', 'deployments', '--filter', 'a100-80gb']);
    expect(list.out).toMatch(/^themisdb-a100-80gb-original +no +a100-80gb-sxm +llama-2-70b$/m);
    const show = await vram(['show', 'deployment', 'llama-2-7b-chat-awq']);
    expect(show.out).toContain('gpu-memory-utilization: 0.9');
    expectCalm(show);
    const schema = await vram(['schema', 'deployment']);
    expect(JSON.parse(schema.out)).toMatchObject({ additionalProperties: false, type: 'object' });
    const names = await vram(['completion', '--names', 'deployments'], { cwd: scratch });
    expect(names.out.trim().split('\n')).toEqual(presets.map(({ id }) => id));
  });
});
