// Over-quantization: a scheme below 8 bits for which no quality figure of this model family is published, or 2 to 3 bits. The
// figures are those of presets/quality.yaml; a checkpoint that its maker publishes only in that form is not judged.
import type { Diagnostic } from '../diagnostics.ts';
import { percent } from '../numbers.ts';
import type { ModelSpec } from '../spec/model.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';

export interface QualityFigure {
  scheme: string;
  family: string;
  model: string;
  metric: string;
  value: number;
  baseline: number;
  /** Lower is better. */
  lower?: boolean;
  source: string;
}

export function overQuantized(
  spec: ModelSpec,
  scheme: QuantizationScheme | undefined,
  figures: readonly QualityFigure[],
): Diagnostic | undefined {
  if (!scheme || scheme.bits >= 8 || spec.quantization !== undefined) return undefined;
  const same = figures.filter((figure) => sameScheme(figure.scheme, scheme.id));
  if (scheme.bits > 3 && same.some((figure) => figure.family === spec.family)) return undefined;
  const nearest = same.find((figure) => figure.model.startsWith('Llama-3.1')) ?? same[0];
  const known = nearest
    ? `; of ${nearest.model} it is known: ${nearest.metric} ${nearest.value} against ${nearest.baseline} in 16 bit (${changeOf(nearest)})`
    : '';
  return {
    severity: scheme.bits <= 3 ? 'warning' : 'note',
    code: 'VRAM506',
    message: `no published figure says what ${scheme.id} (${scheme.bits} bit) costs ${spec.family ?? spec.id} in quality${known}`,
    hint: 'measure it on your own task, or serve 8 bit',
    ...(nearest ? { path: nearest.source } : {}),
  };
}

/** ModelOpt's files of a format hold the same numbers as those of compressed-tensors. */
function sameScheme(published: string, id: string): boolean {
  return published === id || `modelopt-${published}` === id;
}

function changeOf({ value, baseline }: QualityFigure): string {
  const change = value / baseline - 1;
  return `${change >= 0 ? '+' : ''}${percent(change)}`;
}
