// What llama-quantize itself made of 45 recipes: --dry-run of v0.5.0 on files of 15 models with the dimensions of the real ones. The
// options of each line, applied by the rules here, give as many tensors of each type and the size that it printed.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { applyMix, type MixOptions, tensorDataBytes } from '../../../src/accounting/gguf-mix/index.ts';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { loadPreset } from '../../../src/load/presets.ts';
import type { GgmlType } from '../../../src/spec/ggml-types.ts';
import { MiB } from '../../../src/units.ts';

interface Run {
  model: string;
  arguments: string[];
  /** Tensors of each type. */
  types: Record<string, number>;
  /** "quant size = ... MiB". */
  mib: number;
}

const path = new URL('llama-quantize-runs.json', import.meta.url);
const { runs } = JSON.parse(readFileSync(path, 'utf8')) as { build: string; runs: Run[] };

function optionsOf(words: readonly string[]): MixOptions {
  const overrides: { pattern: string; type: GgmlType }[] = [];
  const options: MixOptions = { overrides, rules: 'current' };
  words.forEach((word, i) => {
    const value = words[i + 1]!;
    if (word === '--imatrix') options.imatrix = true;
    if (word === '--output-tensor-type') options.outputTensorType = value as GgmlType;
    if (word === '--token-embedding-type') options.tokenEmbdType = value as GgmlType;
    const at = value?.indexOf('=') ?? -1;
    if (word === '--tensor-type')
      overrides.push({ pattern: value.slice(0, at), type: value.slice(at + 1) as GgmlType });
  });
  return options;
}

describe('llama-quantize --dry-run', () => {
  it.each(runs.map((run, i) => ({ ...run, i })))('$model, line $i: types and size', (run) => {
    const spec = loadPreset('models', run.model);
    const model = toGguf(spec, expandArchitecture(spec))!;
    const made = applyMix(model, run.arguments.at(-1)!, optionsOf(run.arguments));
    const types: Record<string, number> = {};
    for (const { type } of made.tensors) types[type] = (types[type] ?? 0) + 1;
    expect(types).toEqual(run.types);
    expect((tensorDataBytes(made) / MiB).toFixed(2)).toBe(run.mib.toFixed(2));
  });
});
