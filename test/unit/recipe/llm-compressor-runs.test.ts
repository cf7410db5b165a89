// What llm-compressor 0.14.0.1 itself made of 24 recipes (compressed-tensors 0.19.0, models of six architectures without data): the
// bytes of the compressed model's tensors are those counted here.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { loadPreset } from '../../../src/load/presets.ts';
import { bytesUnder, illegalRecipe } from '../../../src/plan/recipe/llm-compressor.ts';
import type { LlmCompressorRecipe } from '../../../src/plan/recipe/types.ts';

type Run = Pick<LlmCompressorRecipe, 'configGroups' | 'ignore' | 'bytes'> & { model: string };

const path = new URL('llm-compressor-runs.json', import.meta.url);
const { runs } = JSON.parse(readFileSync(path, 'utf8')) as { runs: Run[] };

describe('llm-compressor', () => {
  it.each(runs.map((run, i) => ({ ...run, i })))('$model, recipe $i: bytes of the checkpoint', (run) => {
    const architecture = expandArchitecture(loadPreset('models', run.model));
    expect(illegalRecipe(run, architecture)).toEqual([]);
    expect(bytesUnder(run, architecture)).toBe(run.bytes);
  });
});
