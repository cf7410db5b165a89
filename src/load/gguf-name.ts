// Names of published GGUF files and repositories: which model and which mix they mean. Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf,
// bartowski/Qwen2.5-7B-Instruct-GGUF:Q5_K_M, unsloth/gemma-3-12b-it-GGUF. A name is a hint, no header: what is made of it is said.
import { findMix } from '../accounting/gguf-mix/index.ts';
import { modelKey } from './names.ts';
import { findPreset } from './presets.ts';

export interface GgufName {
  /** Id of the preset that the name means. */
  preset: string;
  /** The mix that the name states. */
  mix?: string;
}

/** Undefined where the name is no GGUF name, or means no preset. */
export function readGgufName(name: string): GgufName | undefined {
  const repository = /^([\w.-]+)\/([\w.-]+?)[-_.]gguf(?::([\w.-]+))?$/i.exec(name.trim());
  const file = /([^/\\]+?)(?:-\d{5}-of-\d{5})?\.gguf$/i.exec(name.trim());
  const stem = repository ? repository[2]! : file?.[1];
  if (stem === undefined) return undefined;
  const quant = /[-_.](?:UD-)?(I?Q\d[\w]*|BF16|F16|FP16|F32|MXFP4(?:_MOE)?|TQ[12]_0)$/i.exec(stem);
  const base = quant ? stem.slice(0, quant.index) : stem;
  const preset = presetFor(base);
  if (!preset) return undefined;
  const mix = mixOf(repository?.[3] ?? quant?.[1]);
  return { preset, ...(mix ? { mix } : {}) };
}

/** Suffixes of dynamic mixes (Q4_K_XL, Q4_K_L) stand for the plain one that they start from. */
function mixOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const plain = text.replace(/^UD-/i, '');
  return findMix(plain) ?? findMix(plain.replace(/_(?:XL|L)$/i, '_M')) ?? findMix(plain.replace(/_XXL$/i, '_M'));
}

function presetFor(base: string): string | undefined {
  for (const candidate of [base, base.replace(/^meta-/i, ''), base.replace(/[-_](?:instruct|it|chat)$/i, '')]) {
    const preset = findPreset('models', modelKey(candidate));
    if (preset) return preset.id;
  }
  return undefined;
}
