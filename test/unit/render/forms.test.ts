// What people read: every line within the terminal, the same figures in every form, nothing lost without colour.
import { describe, expect, it } from 'vitest';
import { run as list } from '../../../src/commands/list.ts';
import { inProcess, planJson, vramPlan } from '../../ground-truth/in-process.ts';

const plain = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, '');
const widest = (text: string): number =>
  Math.max(
    ...plain(text)
      .split('\n')
      .map((line) => line.length),
  );

const plans = [
  '-m llama-7b -g rtx4090 --matrix',
  '-m llama-3.1-70b -g rtx4090',
  '-m gemma-3-27b -g h100-sxm --explain',
  '-m deepseek-r1 -g h100-sxm --tp 4 --pp 4 --explain --matrix',
  '-m llama-3.1-70b -g 2xl40s --pp 2 -q w4a16 --context 8k --concurrency 40',
  '-m nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4 -g rtx-pro-6000-server --engine vllm@0.24.0',
  '-m qwen3.5-35b-a3b -g b200 --matrix',
  '-m granite-4.0-h-small -g mi300x',
];

describe.each(plans)('%s', (line) => {
  const args = line.split(' ');

  it('stays within 80 columns, and within 60', async () => {
    for (const columns of [80, 60]) {
      const { out, err } = await vramPlan(args, columns, true);
      // Commands keep their words whole.
      const prose = out.replace(/^Run\n[\s\S]*?\n\n/m, '');
      const bound = columns === 80 ? 80 : 72;
      expect(widest(prose)).toBeLessThanOrEqual(bound);
      expect(widest(err)).toBeLessThanOrEqual(bound);
    }
  });

  it('says the same without colour', async () => {
    const [painted, bare] = [await vramPlan(args, 80, true), await vramPlan(args)];
    expect(painted.out).toContain('\u001b[');
    expect(bare.out).toBe(plain(bare.out));
    // Dimmed prose is the only text whose line breaks may fall elsewhere.
    expect(plain(painted.out)).toBe(bare.out);
    expect(bare.out).not.toMatch(/[ \t]$/m);
  });

  it('carries the verdict and the figures of the JSON in every form', async () => {
    const { result } = await planJson(args);
    const tokens = result.kvCache.tokens.toLocaleString('en-US');
    for (const format of ['table', 'markdown', 'html']) {
      const { out } = await vramPlan([...args, '--format', format]);
      expect(out).toContain(tokens);
      expect(out).toMatch(result.verdict.fits ? /FITS|\*\*Fits|Fits:|STARTS|Starts/ : /DOES NOT FIT|Does not fit/);
      for (const device of result.devices) expect(out).toContain(`${(device.totalBytes / 2 ** 30).toFixed(2)} GiB`);
      expect(out).not.toMatch(/NaN|undefined|\[object/);
    }
    const { out: csv } = await vramPlan([...args, '--format', 'csv']);
    const bytes = csv
      .trimEnd()
      .split('\r\n')
      .slice(1)
      .reduce((sum, row) => sum + Number(row.split(',')[3]), 0);
    expect(bytes).toBe(result.devices.reduce((sum, { totalBytes }) => sum + totalBytes, 0));
  });
});

describe('forms for programs', () => {
  const args = '-m llama-3.1-8b -g l4 --context 100k --concurrency 2'.split(' ');

  it('annotates a pull request: verdict, requirement, diagnostics', async () => {
    const { out, code } = await vramPlan([...args, '--require', 'kvCache.tokens>=10000000', '--format', 'github']);
    expect(code).toBe(1);
    expect(out).toMatch(/^::error title=vram plan::/);
    expect(out).toContain('::error title=vram requirement::kvCache.tokens>=10000000 does not hold');
    for (const line of out.trimEnd().split('\n')) expect(line).toMatch(/^::(error|warning|notice) title=[^:,]+::\S/);
  });

  it('reports to a CI server as JUnit', async () => {
    const { out } = await vramPlan([...args, '--require', 'kvCache.tokens>=1', '--format', 'junit']);
    expect(out).toMatch(/^<\?xml/);
    expect(out).toContain('tests="2"');
    expect(out.match(/<testcase/g)).toHaveLength(2);
    expect(out.match(/<failure/g)?.length ?? 0).toBe(Number(/failures="(\d)"/.exec(out)![1]));
  });

  it('draws one bar a kind of rank, in a file that runs nothing', async () => {
    const big = '-m deepseek-r1 -g h100-sxm --tp 4 --pp 4'.split(' ');
    const { out: svg } = await vramPlan([...big, '--format', 'svg']);
    expect(svg).toMatch(/^<svg/);
    for (const name of ['GPU 0-3', 'GPU 4-7', 'GPU 8-11', 'GPU 12-15']) expect(svg).toContain(name);
    const { out: html } = await vramPlan([...big, '--format', 'html']);
    expect(html).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
  });
});

describe('vram list', () => {
  it.each(['models', 'gpus', 'engines', 'quantizations', 'workloads'])('%s fit the terminal', async (kind) => {
    expect(widest((await inProcess(list, [kind])).out)).toBeLessThanOrEqual(80);
    const { result } = JSON.parse((await inProcess(list, [kind, '--json'])).out);
    expect(Array.isArray(result[kind])).toBe(true);
  });

  it('filters by id and name', async () => {
    const { out } = await inProcess(list, ['gpus', '--filter', '4090']);
    expect(out).toContain('rtx4090');
    expect(out).not.toContain('h100');
  });
});
