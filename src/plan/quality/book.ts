// Published figures of what quantization costs (presets/quality): tables of one model and metric each, with the values of the schemes
// that one source measured. Nothing is converted between metrics: a figure is comparable only with those of its own table.

export const domains = ['general', 'code', 'math', 'medicine', 'long-context'] as const;
export type Domain = (typeof domains)[number];

export interface Metric {
  name: string;
  /** For narrow tables. */
  short: string;
  /** accuracy and perplexity have a relative loss; a divergence or difference stands for itself. */
  kind: 'accuracy' | 'perplexity' | 'divergence' | 'difference';
  /** Lower is better. */
  lower?: boolean;
  domain: Domain;
  /** How much of a model's ability it covers: the broadest one speaks for a scheme; 0 never does. */
  breadth: number;
}

/** A published name of a model: the preset it is, its family, its size. */
export interface MeasuredModel {
  preset?: string;
  family?: string;
  parameters?: number;
}

/** One model and metric of one source. */
export interface QualityTable {
  source: string;
  note?: string;
  model: string;
  metric: string;
  /** The 16-bit figure; absent where the source has none. */
  baseline?: number;
  /** GGUF files made with an importance matrix. */
  imatrix?: true;
  /** How the checkpoint was made, where one scheme has several. */
  recipe?: string;
  /** What is quantized; absent: the weights. */
  of?: 'kv-cache';
  /** Scheme id -> figure. */
  values: Readonly<Record<string, number>>;
}

export interface QualityBook {
  metrics: Readonly<Record<string, Metric>>;
  models: Readonly<Record<string, MeasuredModel>>;
  /** Families whose figures speak for each other. */
  lineages: readonly (readonly string[])[];
  tables: readonly QualityTable[];
}

/** How near the measured model is to the one planned. */
export type Relation = 'model' | 'family' | 'other';

export interface QualityFigure {
  scheme: string;
  table: QualityTable;
  metric: Metric;
  value: number;
  relation: Relation;
  /** Share of the 16-bit figure that is lost: above 0 is worse. Undefined without a baseline, and for divergences. */
  relativeLoss: number | undefined;
}

/** The model that figures are looked up for. */
export interface Subject {
  id: string;
  family?: string | undefined;
  parameters?: number | undefined;
}

/** Every figure of a scheme, the nearest evidence first; of equally near the broadest metric. */
export function figuresOf(
  book: QualityBook,
  scheme: string,
  subject: Subject,
  of: QualityTable['of'] = undefined,
): QualityFigure[] {
  const found: QualityFigure[] = [];
  for (const table of book.tables) {
    if (table.of !== of) continue;
    const value = Object.hasOwn(table.values, scheme) ? table.values[scheme] : undefined;
    const metric = book.metrics[table.metric];
    if (value === undefined || !metric) continue;
    const relation = relationOf(book, table.model, subject);
    found.push({ scheme, table, metric, value, relation, relativeLoss: relativeLoss(value, table.baseline, metric) });
  }
  return found.sort((a, b) => compareNearness(book, subject, a, b));
}

/** value / baseline - 1 for perplexities, 1 - value / baseline for scores. */
function relativeLoss(value: number, baseline: number | undefined, { kind, lower }: Metric): number | undefined {
  if (baseline === undefined || baseline === 0 || kind === 'divergence' || kind === 'difference') return undefined;
  return lower ? value / baseline - 1 : 1 - value / baseline;
}

function relationOf(book: QualityBook, name: string, subject: Subject): Relation {
  const model = Object.hasOwn(book.models, name) ? book.models[name]! : {};
  if (model.preset !== undefined && model.preset === subject.id) return 'model';
  if (model.family === undefined || subject.family === undefined) return 'other';
  return model.family === subject.family || sameLineage(book, model.family, subject.family) ? 'family' : 'other';
}

function sameLineage({ lineages }: QualityBook, a: string, b: string): boolean {
  return lineages.some((lineage) => lineage.includes(a) && lineage.includes(b));
}

/** Averages of many tasks, and perplexities. */
const broad = 3;

const relationRank: Readonly<Record<Relation, number>> = { model: 0, family: 1, other: 2 };

function compareNearness(book: QualityBook, subject: Subject, a: QualityFigure, b: QualityFigure): number {
  return (
    relationRank[a.relation] - relationRank[b.relation] ||
    // A loss can be told before a bare figure can.
    Number(a.relativeLoss === undefined) - Number(b.relativeLoss === undefined) ||
    // One task says less about a scheme than an average or a perplexity does on a model of another size.
    Number(a.metric.breadth < broad) - Number(b.metric.breadth < broad) ||
    sizeDistance(book, a, subject) - sizeDistance(book, b, subject) ||
    b.metric.breadth - a.metric.breadth ||
    // Of equal standing, the table that compares the most schemes.
    Object.keys(b.table.values).length - Object.keys(a.table.values).length ||
    recipeRank(a) - recipeRank(b) ||
    Number(b.table.imatrix ?? false) - Number(a.table.imatrix ?? false)
  );
}

/** Plain checkpoints speak for a scheme before special recipes do. */
function recipeRank({ table: { recipe } }: QualityFigure): number {
  if (recipe === undefined || recipe === 'official checkpoints') return 0;
  return recipe === 'round to nearest' ? 1 : 2;
}

/** Factor between the sizes, as powers of two; models of unknown size come last. */
function sizeDistance({ models }: QualityBook, { table }: QualityFigure, { parameters }: Subject): number {
  const measured = Object.hasOwn(models, table.model) ? models[table.model]!.parameters : undefined;
  if (measured === undefined || parameters === undefined) return Number.MAX_SAFE_INTEGER;
  return Math.round(Math.abs(Math.log2(measured / parameters)));
}

export interface FigureChoice {
  figure: QualityFigure;
  /** The domain asked for was not measured for this scheme. */
  domainMissing: boolean;
}

/** The figure that speaks for a scheme: one of the domain asked for where there is any, else the nearest and broadest. */
export function speakingFigure(
  figures: readonly QualityFigure[],
  domain: Domain | undefined,
): FigureChoice | undefined {
  const usable = figures.filter(({ metric }) => metric.breadth > 0);
  const wanted = domain && domain !== 'general' ? usable.find(({ metric }) => metric.domain === domain) : undefined;
  const figure = wanted ?? usable.find(({ metric }) => metric.domain === 'general') ?? usable[0];
  if (!figure) return undefined;
  return { figure, domainMissing: domain !== undefined && figure.metric.domain !== domain };
}

/**
 * Whether `a` was measured better (below 0), alike or worse than `b`, by the nearest table that holds both: same source, model and
 * metric. Undefined where no table does: figures of different tables are not compared.
 */
export function compareMeasured(
  a: readonly QualityFigure[],
  b: readonly QualityFigure[],
): { order: number; table: QualityTable } | undefined {
  for (const mine of a) {
    if (mine.metric.breadth === 0) continue;
    const theirs = b.find((figure) => sameMeasurement(mine.table, figure.table));
    if (!theirs) continue;
    const order = mine.metric.lower ? mine.value - theirs.value : theirs.value - mine.value;
    return { order, table: mine.table };
  }
  return undefined;
}

/** One publisher's cards report one model's recovery in files of their own: the same benchmark against the same baseline. */
function sameMeasurement(a: QualityTable, b: QualityTable): boolean {
  if (a.model !== b.model || a.metric !== b.metric || a.baseline !== b.baseline || a.baseline === undefined) {
    return a.source === b.source && a.model === b.model && a.metric === b.metric;
  }
  return a.source === b.source || (a.baseline === 100 && sourceFamily(a.source) === sourceFamily(b.source));
}

function sourceFamily(source: string): string {
  return /RedHatAI|neuralmagic/i.test(source) ? 'RedHatAI' : source;
}
