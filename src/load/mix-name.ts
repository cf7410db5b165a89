// The quantization mix that a word means: llama-quantize's names in any case, and what people call the published files.
import { findMix, type MixName, mixNames } from '../accounting/gguf-mix/index.ts';
import { inputError } from '../diagnostics.ts';
import { nearestNames, printable } from './names.ts';

/** mxfp4 is what gpt-oss is published in: experts in MXFP4, the rest in 8 bits or more. */
const spoken: Readonly<Record<string, MixName>> = { mxfp4: 'mxfp4_moe', none: 'f16', fp16: 'f16', fp32: 'f32' };

/** Throws InputError VRAM162 with the nearest names. */
export function mixNamed(name: string, option = '--quantization'): MixName {
  const mix = findMix(name) ?? spoken[name.toLowerCase()];
  if (mix) return mix;
  const near = nearestNames(name, mixNames).join(', ');
  throw inputError('VRAM162', `llama.cpp has no quantization "${printable(name)}"`, {
    hint: near ? `did you mean ${near}?` : `known: ${mixNames.join(', ')}`,
    path: option,
  });
}
