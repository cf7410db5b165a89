// `vram compare` with what goes wrong: filters that ask nothing, baselines of another kind, files that cannot be written, pipes that
// close, patterns made to take long.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run } from '../../src/commands/compare.ts';
import { isInputError, isVramError } from '../../src/diagnostics.ts';
import { inProcess, type Ran } from '../ground-truth/in-process.ts';

const compare = (...args: string[]): Promise<Ran> => inProcess(run, args);
const one = ['-m', 'qwen3-8b', '-g', 'l40s'];
const folder = (): string => mkdtempSync(join(tmpdir(), 'vram-compare-'));

async function refusal(...args: string[]): Promise<string> {
  try {
    await compare(...args);
  } catch (error) {
    if (isInputError(error)) return `${error.diagnostics[0]!.code} ${error.message}`;
    if (isVramError(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'not refused';
}

describe('filters that ask nothing', () => {
  it.each([
    ['model > 3', 'a number, but got a text'],
    ["fits and tokens > 'a'", 'a number, but got a text'],
    ['not fits and model > 3', 'a number, but got a text'],
    ['tokens', 'a number, not yes or no'],
    ['gpu', 'a text, not yes or no'],
    ["gpu ~= '('", 'Invalid regular expression'],
    ['fits(3)', 'Unknown function'],
  ])('%s', async (filter, says) => {
    const said = await refusal(...one, '--filter', filter);
    expect(said).toContain('VRAM717');
    expect(said).toContain(says);
  });

  it('are quoted as far as they are recognized by', async () => {
    const long = 'x'.repeat(100_000);
    for (const filter of [long, `"${long}`, `${'('.repeat(50_000)}fits`])
      expect((await refusal(...one, '--filter', filter)).length).toBeLessThan(400);
  });

  it('leave out what fits: said so, instead of that nothing fits', async () => {
    const { out } = await compare(...one, '--filter', 'tokens > 1000000000000');
    expect(out).toContain('NO ROW MEETS WHAT IS ASKED FOR');
    expect(out).not.toContain('NOTHING FITS');
  });
});

it('patterns of many stars take no time', async () => {
  expect((await compare('-m', '***qwen3-8b***', '-g', 'l40?', '--json')).code).toBe(0);
  expect(await refusal('-m', `${'*'.repeat(60)}a${'*a'.repeat(60)}`, '-g', 'l40s')).toContain('VRAM706');
});

it('one row shows its figures, not its options', async () => {
  const { out } = await compare(...one, '--price', '2');
  expect(out).toMatch(/^all: one GPU, vllm@/m);
  expect(out).toMatch(/^model +gpu +weights +KV +tokens/m);
});

describe('baselines', () => {
  it('show what changed in rows of the same name', async () => {
    const file = join(folder(), 'baseline.json');
    await compare(...one, '--json', '-o', file);
    const same = await compare(...one, '--diff', file);
    expect(same.out).toMatch(/^ {2}the same$/m);
    const less = [...one, '--gpu-memory-utilization', '0.8', '--diff', file];
    expect((await compare(...less)).out).toMatch(/KV per GPU \S+ -> \S+ \(-/);
    expect((await compare(...less, '--format', 'markdown')).out).toMatch(/```\nAgainst [^`]*KV per GPU/);
  });

  it.each([
    ['truncated', '{"command":"compare","resu'],
    ['of another version', '{"schemaVersion":2,"command":"compare","result":{"rows":[{"id":"x"}]}}'],
    ['nothing', 'null'],
    ['rows of nothing', '{"schemaVersion":1,"command":"compare","result":{"rows":[null]}}'],
  ])('%s: refused before anything is planned', async (_, text) => {
    const file = join(folder(), 'baseline.json');
    writeFileSync(file, text);
    expect(await refusal(...one, '--diff', file)).toContain('VRAM711');
  });

  it('of ten thousand rows are read', async () => {
    const file = join(folder(), 'baseline.json');
    await compare(...one, '--json', '-o', file);
    const baseline = JSON.parse(readFileSync(file, 'utf8'));
    const [row] = baseline.result.rows;
    baseline.result.rows = Array.from({ length: 20_000 }, (_, at) => ({ ...row, id: at === 0 ? row.id : `${at}` }));
    writeFileSync(file, JSON.stringify(baseline));
    expect((await compare(...one, '--diff', file)).out).toMatch(/^ {2}the same$/m);
  });
});

describe('files that cannot be written', () => {
  it.each([['csv'], ['json']])('%s: a directory, a missing place, no name; nothing is left', async (format) => {
    const place = folder();
    mkdirSync(join(place, 'rows'));
    expect(await refusal(...one, '--format', format, '-o', join(place, 'rows'))).toMatch(/^VRAM301 .*EISDIR/);
    expect(await refusal(...one, '--format', format, '-o', join(place, 'no', 'rows'))).toMatch(/^VRAM301 .*ENOENT/);
    expect(await refusal(...one, '--format', format, '-o', '')).toContain('VRAM167');
    expect(readdirSync(place)).toEqual(['rows']);
  });
});

describe('ended from outside', () => {
  const many = ['compare', '-m', 'all', '-g', 'all', '-q', 'none,fp8', '--tp', '1,2,4,8', '--format', 'csv'];
  const bin = join(import.meta.dirname, '../../bin/vram.js');

  it('a closed pipe ends it quietly and at once', async () => {
    const child = spawn(process.execPath, [bin, ...many]);
    let said = '';
    child.stderr.on('data', (data) => {
      said += data;
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const started = Date.now();
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect([code, said]).toEqual([0, '']);
    expect(Date.now() - started).toBeLessThan(15_000);
  });

  it('Ctrl-C leaves no part of a file, and what was there', async () => {
    const place = folder();
    const file = join(place, 'rows.csv');
    writeFileSync(file, 'before');
    const child = spawn(process.execPath, [bin, ...many, '-o', file]);
    while (readdirSync(place).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGINT');
    const signal = await new Promise((resolve) => child.once('close', (_, by) => resolve(by)));
    expect(signal).toBe('SIGINT');
    expect(readdirSync(place)).toEqual(['rows.csv']);
    expect(readFileSync(file, 'utf8')).toBe('before');
  });
});

describe('a table of 80 columns', () => {
  const large = ['-m', 'deepseek-v3,kimi-k2', '-g', 'mi300x,hgx-h100', '--tp', '8'];
  it.each([
    [
      'many columns',
      [...large, '--columns', 'model,gpu,engine,q,kvCacheDtype,tp,fits,weights,kv,tokens,headroom,price,cost'],
    ],
    [
      'every estimate',
      [...large, '--columns', 'model,gpu,price,cost,throughput,decode,bound,prefill,ttft,tpot,speed.loadedTpotSeconds'],
    ],
    ['the dearest price', [...large, '--price', '99999.99']],
    ['groups by a long reason', ['-m', 'qwen3-8b', '-g', 'all', '--group-by', 'reason']],
    ['groups of what is refused', ['-m', 'llama-3.2-11b-vision,qwen3-8b', '-g', 'h200-sxm', '--group-by', 'model']],
    ['a front of three', ['-m', 'qwen3-8b', '-g', 'all', '--pareto', 'cost,concurrency,decode', '--context', '8192']],
    [
      'long names',
      [
        '-m',
        'RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8,Qwen/Qwen3-235B-A22B',
        '-g',
        'b200,lambda-gpu-8x-a100-80gb-sxm4',
        '--tp',
        '4,8',
        '--engine',
        'vllm@0.18,vllm',
      ],
    ],
  ])('%s', async (_, args) => {
    const { out, err } = await compare(...args);
    expect(`${out}${err}`.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(out).not.toMatch(/NaN|undefined|Infinity|\bnull\b/);
    expect(out).toMatch(/ tokens\b| \$\/M| dec\/s/);
  });

  it('says what load the estimates are for where none is given', async () => {
    expect((await compare(...one)).out.replaceAll('\n', ' ')).toContain('for one sequence of 4,096 tokens');
    expect((await compare(...one, '--context', '2048')).out).not.toContain('no load is given');
  });
});

describe('what the engine refuses', () => {
  it('stands in its own words beside the reason', async () => {
    const { out } = await compare('-m', 'qwen3-8b,llama-3.1-8b', '-g', 'l40s', '--tp', '3');
    expect(out.replace(/\s+/g, ' ')).toContain(
      'the engine refuses this layout: Total number of attention heads (32) must be divisible by tensor parallel size (3).',
    );
    const long = await compare('-m', 'qwen3-8b,llama-3.1-8b', '-g', 'l40s', '--max-model-len', '9999999');
    expect(long.out).toContain('VLLM_ALLOW_LONG_MAX_MODEL_LEN');
    expect(long.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it.each([
    ['--kv-cache-dtype', 'fp8,foo'],
    ['--dtype', 'foo'],
  ])('%s %s: no release takes it', async (...args) => {
    expect(await refusal(...one, ...args)).toBe(`VRAM145 ${args[0]} does not take "foo"`);
  });
});

it('an answer longer than its sequence is refused', async () => {
  expect(await refusal(...one, '--context', '4096', '--output-tokens', '4096')).toContain('VRAM720');
  expect(await refusal(...one, '--context', '4096', '--output-tokens', '4095')).toBe('not refused');
});
