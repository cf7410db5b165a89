// `vram plan` without a GPU: a list in the contract's envelope, and nothing that was asked for left out in silence.
import { describe, expect, it } from 'vitest';
import { expectCalm, expectRefused, vram } from './run.ts';

const list = (...more: string[]) => vram(['plan', '-m', 'llama-7b', ...more]);

describe.concurrent('a plan without a GPU', () => {
  it('is an envelope with the diagnostics in it', async () => {
    const ran = await list('--json');
    expect(ran).toMatchObject({ code: 0, err: '' });
    const output = JSON.parse(ran.out) as {
      input: unknown;
      result: { gpus: { gpu: string; fits: boolean }[] };
      diagnostics: { code: string }[];
    };
    expect(output).toMatchObject({
      schemaVersion: 1,
      tool: { name: 'vram' },
      command: 'plan',
      input: { model: { id: 'llama-2-7b' }, gpu: null, engine: { id: 'vllm' }, parallel: { tp: 1 } },
    });
    expect(output.diagnostics.map(({ code }) => code)).toContain('VRAM117');
    expect(output.result.gpus.find(({ gpu }) => gpu === 'rtx4090')?.fits).toBe(true);
  });

  it.each([
    ['table', /^fits on +memory/],
    ['yaml', /^schemaVersion: 1/],
    ['markdown', /^\| fits on \|/],
    ['csv', /^gpu,totalBytes,fits,/],
  ])('comes as %s', async (format, begins) => {
    const ran = await list('--format', format);
    expectCalm(ran);
    expect(ran.out).toMatch(begins);
  });

  it.each([
    [['--require', 'verdict.fits==true']],
    [['--matrix']],
    [['--explain']],
    [['--free-memory', '20GiB']],
    [['--format', 'kubernetes']],
  ])('does not leave out %s', async (args) => {
    expectRefused(await list(...args), 2, ['needs a GPU', args[0]!]);
  });
});
