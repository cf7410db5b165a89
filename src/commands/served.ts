// What the generated command serves: the repository or path that was asked for, or, when a scheme was chosen for a 16-bit
// model, a published checkpoint in that scheme. Where none is known the command names a place for it and says so.
import type { Diagnostic } from '../diagnostics.ts';
import { loadPresets } from '../load/presets.ts';
import type { ModelSpec } from '../spec/model.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';

interface ServedInput {
  /** --model as given. */
  ref: string;
  model: { spec: ModelSpec; scheme?: string; from: string };
  /** The scheme chosen by --quantization; undefined when the checkpoint brings its own or is 16 bit. */
  chosen?: QuantizationScheme;
}

export function servedModel({ ref, model, chosen }: ServedInput): { name: string; diagnostics: Diagnostic[] } {
  const { spec } = model;
  const name = model.from === 'config' && ref !== '-' ? ref.replace(/\/?config\.json$/, '') || '.' : nameOf(spec);
  const ownScheme = model.scheme !== undefined || spec.quantization !== undefined;
  if (!chosen || ownScheme || madeWhileLoading(chosen)) return { name, diagnostics: [] };
  const variant = loadPresets('model-variants').variants.find(
    (candidate) => candidate.base === spec.id && candidate.scheme === chosen.id,
  );
  if (variant) return { name: variant.id, diagnostics: [] };
  const place = `./${name.replace(/^.*\//, '')}-${chosen.id}`;
  return {
    name: place,
    diagnostics: [
      {
        severity: 'warning',
        code: 'VRAM417',
        message: `${chosen.id} is a form of checkpoint: the generated command names ${place}, put yours there`,
        hint: `or plan a published one by its Hugging Face id (--model ORG/NAME), or quantize while loading: --quantization fp8`,
        path: '--quantization',
      },
    ],
  };
}

/** fp8 of a 16-bit checkpoint, and bitsandbytes, which vLLM also makes while loading. */
function madeWhileLoading(scheme: QuantizationScheme): boolean {
  return scheme.online === true || scheme.method === 'bitsandbytes';
}

function nameOf(spec: ModelSpec): string {
  return spec.hfId ?? spec.id;
}
