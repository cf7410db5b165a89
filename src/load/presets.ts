// Reads the compiled presets (dist/presets/*.json, made by scripts/build-presets.ts). One file per kind, read on first use.
import { readFileSync } from 'node:fs';
import type { RuleBook } from '../engines/vllm/profile.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { ModelSpec } from '../spec/model.ts';

interface PresetFiles {
  models: ModelSpec[];
  gpus: GpuSpec[];
  'vllm-rules': RuleBook;
}

const cache = new Map<string, unknown>();
const directory = new URL('../../dist/presets/', import.meta.url);

export function loadPresets<Kind extends keyof PresetFiles>(kind: Kind): PresetFiles[Kind] {
  let value = cache.get(kind);
  if (value === undefined) {
    value = JSON.parse(readFileSync(new URL(`${kind}.json`, directory), 'utf8'));
    cache.set(kind, value);
  }
  return value as PresetFiles[Kind];
}
