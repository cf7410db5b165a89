// Finds what a checkpoint's id means when it is no preset itself: a listed variant, or a name built by a publisher's habit
// (RedHatAI/<X>-quantized.w4a16, Qwen/<X>-AWQ). The habits are data, presets/model-variants.yaml.
import type { ModelConfig, ModelSpec } from '../spec/model.ts';
import { modelKey } from './names.ts';
import { findPreset, loadPresets, type ModelVariant } from './presets.ts';

export interface ResolvedVariant {
  spec: ModelSpec;
  scheme?: string;
  note?: string;
}

/** The spec of `ref` by variant or habit, with the id as the user wrote it; undefined when nothing fits. */
export function resolveVariant(ref: string): ResolvedVariant | undefined {
  const key = modelKey(ref);
  const listed = listedVariant(key);
  if (listed) return fromListed(listed);
  const slash = key.indexOf('/');
  if (slash < 0) return undefined;
  const organisation = key.slice(0, slash);
  const name = key.slice(slash + 1);
  for (const rule of loadPresets('model-variants').rules) {
    if (!rule.organisations.some((item) => item === '*' || modelKey(item) === organisation)) continue;
    const match = new RegExp(`(?:${rule.suffix})$`).exec(name);
    if (!match) continue;
    const base = baseOf(name.slice(0, match.index), organisation);
    if (!base) continue;
    const spec: ModelSpec = { ...base, hfId: ref.trim() };
    if (rule.scheme === 'none') return { spec };
    delete spec.quantization;
    return { spec, scheme: rule.scheme, ...(rule.note ? { note: rule.note } : {}) };
  }
  return undefined;
}

/** Names of all listed variants, for suggestions. */
export function variantNames(): string[] {
  return loadPresets('model-variants').variants.map((variant) => variant.id);
}

function listedVariant(key: string): ModelVariant | undefined {
  return loadPresets('model-variants').variants.find((variant) => modelKey(variant.id) === key);
}

function fromListed(variant: ModelVariant): ResolvedVariant | undefined {
  const base = findPreset('models', variant.base);
  if (!base) return undefined;
  const spec: ModelSpec = { ...base, hfId: variant.id };
  if (variant.config) spec.config = { ...base.config, ...variant.config } as ModelConfig;
  if (variant.scheme !== undefined) delete spec.quantization;
  return {
    spec,
    ...(variant.scheme !== undefined && variant.scheme !== 'none' ? { scheme: variant.scheme } : {}),
    ...(variant.note ? { note: variant.note } : {}),
  };
}

/** The 16-bit model a cut-off name stands for: under the same organisation, a listed variant of that name, or any preset. */
function baseOf(name: string, organisation: string): ModelSpec | undefined {
  if (name === '') return undefined;
  const variants = loadPresets('model-variants').variants;
  const listed =
    listedVariant(`${organisation}/${name}`) ??
    variants.find((variant) => variant.scheme === undefined && modelKey(variant.id).endsWith(`/${name}`));
  return listed ? fromListed(listed)?.spec : findPreset('models', name);
}
