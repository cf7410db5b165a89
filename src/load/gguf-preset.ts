// A preset as the GGUF file that the converter and a quantization mix make of it, kept for the next question about it.
import { applyMix } from '../accounting/gguf-mix/index.ts';
import { toGguf } from '../architecture/gguf/index.ts';
import { expandArchitecture } from '../architecture/index.ts';
import { assert } from '../assert.ts';
import type { GgufModel } from '../spec/gguf.ts';
import type { ModelSpec } from '../spec/model.ts';
import { mixNamed } from './mix-name.ts';
import { loadPreset } from './presets.ts';

const made = new Map<string, { spec: ModelSpec; model: GgufModel }>();

/** `id` names a preset, `mix` a quantization mix in any spelling; asserts that llama.cpp has the architecture. */
export function ggufOfPreset(id: string, mix: string): { spec: ModelSpec; model: GgufModel } {
  const key = `${id} ${mix}`;
  let entry = made.get(key);
  if (!entry) {
    const spec = loadPreset('models', id);
    const source = toGguf(spec, expandArchitecture(spec));
    assert(source !== undefined, `llama.cpp has no architecture for ${id}`);
    entry = { spec, model: applyMix(source, mixNamed(mix)) };
    made.set(key, entry);
  }
  return entry;
}
