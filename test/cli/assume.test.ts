// An architecture nobody here knows: refused with what is missing, or planned as a family the user names, all of it estimated.
import { describe, expect, it } from 'vitest';
import { expectCalm, expectRefused, llama, modelFolder, vram, yamlSpec } from './run.ts';

const unknown = llama({ architectures: ['FooForCausalLM'], model_type: 'foo' });
const plan = (folder: string, ...more: string[]) => ['plan', '-m', folder, '-g', 'rtx4090', ...more];

interface Item {
  id: string;
  confidence: string;
  bytes: number;
  lowBytes: number;
  highBytes: number;
}

interface Planned {
  input: { model: { architecture: string } };
  result: { verdict: { fits: boolean }; devices: { items: Item[] }[] };
  diagnostics: { severity: string; code: string; message: string }[];
}

describe.concurrent('an unknown architecture', () => {
  it('is refused with what is missing and the way out', async () => {
    expectRefused(await vram(plan(modelFolder(unknown))), 2, [
      'FooForCausalLM (model_type foo) is unknown',
      'tensors',
      '--assume-architecture llama',
    ]);
  });

  it('is planned as the family assumed, every figure estimated', async () => {
    const ran = await vram(plan(modelFolder(unknown), '--assume-architecture', 'llama', '--json'));
    expectCalm(ran);
    expect(ran.code).toBe(0);
    const { input, result, diagnostics } = JSON.parse(ran.out) as Planned;
    expect(input.model.architecture).toBe('FooForCausalLM');
    expect(result.verdict.fits).toBe(true);
    expect(new Set(result.devices.flatMap(({ items }) => items.map(({ confidence }) => confidence)))).toEqual(
      new Set(['estimated']),
    );
    for (const { id, bytes, lowBytes, highBytes } of result.devices[0]!.items.filter((item) => item.bytes > 0)) {
      expect(lowBytes, id).toBeLessThan(bytes);
      expect(highBytes, id).toBeGreaterThan(bytes);
    }
    expect(diagnostics.find(({ code }) => code === 'VRAM202')?.severity).toBe('warning');
    const known = await vram(plan(modelFolder(llama()), '--json'));
    const weights = (text: string) =>
      (JSON.parse(text) as Planned).result.devices[0]!.items.find(({ id }) => id === 'weights');
    expect(weights(ran.out)?.bytes).toBe(weights(known.out)?.bytes);
  });

  it('is planned from a YAML spec too, and without a GPU', async () => {
    const stdin = yamlSpec({ head: 'id: mine\narchitecture: FooForCausalLM\nmodelType: foo\n' });
    const ran = await vram(['plan', '-m', '-', '--assume-architecture', 'llama', '--format', 'csv'], { stdin });
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.said).toContain('every figure is an estimate');
  });

  it.each([
    ['a family that does not exist', 'lama', ['no architecture family "lama"', 'did you mean llama']],
    ['a name of every object', 'constructor', ['no architecture family "constructor"']],
    ['nothing', '', ['no architecture family']],
  ])('assumed to be %s', async (_what, family, says) => {
    expectRefused(await vram(plan(modelFolder(unknown), '--assume-architecture', family)), 2, says);
  });

  it('that lacks a size the family needs', async () => {
    const folder = modelFolder({ ...unknown, intermediate_size: undefined });
    expectRefused(await vram(plan(folder, '--assume-architecture', 'llama')), 2, ['intermediate_size', 'llama']);
  });

  it.each([
    ['constructor', '__proto__'],
    ['toString', 'hasOwnProperty'],
    ['__proto__', 'constructor'],
  ])('is unknown even when it is called %s', async (architecture, modelType) => {
    const folder = modelFolder(llama({ architectures: [architecture], model_type: modelType }));
    expectRefused(await vram(plan(folder)), 2, ['is unknown', '--assume-architecture']);
  });
});
