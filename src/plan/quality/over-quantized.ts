// Over-quantization: a scheme below 8 bits for which no quality figure of this model family is published, or 2 to 3 bits. A
// checkpoint that its maker publishes only in that form is not judged.
import type { Diagnostic } from '../../diagnostics.ts';
import { percent } from '../../numbers.ts';
import type { ModelSpec } from '../../spec/model.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';
import { figuresOf, type QualityBook, type QualityFigure } from './book.ts';

export function overQuantized(
  spec: ModelSpec,
  scheme: QuantizationScheme | undefined,
  book: QualityBook,
): Diagnostic | undefined {
  if (!scheme || scheme.bits >= 8 || spec.quantization !== undefined) return undefined;
  const figures = figuresOf(book, scheme.evidence?.scheme ?? scheme.id, spec).filter(
    ({ relativeLoss }) => relativeLoss !== undefined,
  );
  const nearest = figures[0];
  if (scheme.bits > 3 && nearest !== undefined && nearest.relation !== 'other') return undefined;
  const known = nearest
    ? `; of ${nearest.table.model} it is known: ${nearest.metric.name} ${nearest.value} against ${nearest.table.baseline} in 16 bit (${changeOf(nearest)})`
    : '';
  return {
    severity: scheme.bits <= 3 ? 'warning' : 'note',
    code: 'VRAM506',
    message: `no published figure says what ${scheme.id} (${scheme.bits} bit) costs ${spec.family ?? spec.id} in quality${known}`,
    hint: 'measure it on your own task, or serve 8 bit',
    ...(nearest ? { path: nearest.table.source } : {}),
  };
}

function changeOf({ value, table }: QualityFigure): string {
  const change = value / table.baseline! - 1;
  return `${change >= 0 ? '+' : ''}${percent(change)}`;
}
