// The figure that speaks for a scheme on a model, as the rows carry it; with the nearest figures of other metrics beside it.
import type { QuantizationScheme } from '../../spec/quantization.ts';
import {
  type Domain,
  figuresOf,
  type QualityBook,
  type QualityFigure,
  type QualityTable,
  type Subject,
  speakingFigure,
} from '../quality/book.ts';
import type { QualityNote, RowQuality } from './types.ts';

export interface QualityQuery {
  book: QualityBook;
  subject: Subject;
  domain: Domain | undefined;
}

export function schemeFigures(scheme: QuantizationScheme, { book, subject }: QualityQuery): QualityFigure[] {
  const own = figuresOf(book, scheme.id, subject);
  return own.length > 0 || !scheme.evidence ? own : figuresOf(book, scheme.evidence.scheme, subject);
}

export function rowQuality(scheme: QuantizationScheme, query: QualityQuery): RowQuality | null {
  const figures = schemeFigures(scheme, query);
  const borrowed = figures.length > 0 && figures[0]!.scheme !== scheme.id ? (scheme.evidence ?? null) : null;
  return qualityOf(figures, query, borrowed);
}

export function cacheQuality(id: string, query: QualityQuery): RowQuality | null {
  return qualityOf(figuresOf(query.book, id, query.subject, 'kv-cache'), query, null);
}

function qualityOf(
  figures: readonly QualityFigure[],
  { domain }: QualityQuery,
  borrowed: RowQuality['borrowed'],
): RowQuality | null {
  const choice = speakingFigure(figures, domain);
  if (!choice) return null;
  const others = new Map<string, QualityFigure>();
  for (const figure of figures) {
    if (figure.table.metric !== choice.figure.table.metric && !others.has(figure.table.metric))
      others.set(figure.table.metric, figure);
  }
  return {
    ...noteOf(choice.figure),
    borrowed,
    domainMissing: choice.domainMissing,
    alsoMeasured: [...others.values()].map(noteOf),
  };
}

function noteOf({ table, metric, value, relation, relativeLoss }: QualityFigure): QualityNote {
  return {
    model: table.model,
    relation,
    metric: table.metric,
    metricName: metric.name,
    metricShort: metric.short,
    domain: metric.domain,
    value,
    baseline: table.baseline ?? null,
    lowerIsBetter: metric.lower === true,
    relativeLoss: relativeLoss ?? null,
    ...origin(table),
  };
}

function origin({
  imatrix,
  recipe,
  source,
  note,
}: QualityTable): Pick<QualityNote, 'imatrix' | 'recipe' | 'source' | 'note'> {
  return { imatrix: imatrix === true, recipe: recipe ?? null, source, note: note ?? null };
}
