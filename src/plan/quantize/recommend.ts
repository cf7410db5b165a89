// Which scheme to take: of those that fit and that the GPU multiplies in or has a kernel for, the one that loses least by published figures,
// then the fastest. Figures are compared only within one table (source, model and metric); what no table compares goes by nominal bits.
import { gib, percent, thousands } from '../../numbers.ts';
import { compareMeasured, type QualityFigure } from '../quality/book.ts';
import type { QuantizeRow, RowQuality } from './types.ts';

export interface RecommendInput {
  rows: readonly QuantizeRow[];
  /** Nominal bits of a row's scheme. */
  bitsOf(row: QuantizeRow): number;
  figuresOf(row: QuantizeRow): readonly QualityFigure[];
  maxQualityLoss: number | undefined;
  /** The 16-bit scheme that stands for the model as it is: of its own dtype, if the GPU has that. */
  plainScheme: string;
}

export interface Choice {
  row: QuantizeRow;
  reason: string;
  change: string;
  alternatives: { row: QuantizeRow; reason: string }[];
}

/** Losses up to this are within what benchmarks can tell from 16 bit. */
export const noiseFloor = 0.005;
/** Two figures of one table this close count as alike. */
const alike = 0.001;
const lossClasses = [noiseFloor, 0.02, 0.05, 0.1];

export function recommend(input: RecommendInput): Choice | { none: string } {
  const fitting = input.rows.filter(({ fits, scheme }) => fits && scheme !== 'fp32' && scheme !== 'gguf-f32');
  if (fitting.length === 0) return { none: noneFits(input.rows) };
  const allowed = fitting.filter((row) => withinLimit(row, input));
  if (allowed.length === 0) return { none: noneWithin(fitting, input) };
  for (const level of [['native', 'weight-only'], ['emulated'], ['unknown']]) {
    const able = allowed.filter(({ hardware }) => level.includes(hardware.level));
    const known = knownOf(able, input);
    const pool = known.length > 0 ? known : able;
    if (pool.length > 0) return choiceFrom(pool, allowed, input);
  }
  return { none: 'nothing that fits runs on this GPU' };
}

function knownOf(rows: readonly QuantizeRow[], input: RecommendInput): QuantizeRow[] {
  return rows.filter((row) => isLossless(row, input) || lossOf(row) !== undefined);
}

export function withinLimit(row: QuantizeRow, input: RecommendInput): boolean {
  if (input.maxQualityLoss === undefined || isLossless(row, input)) return true;
  const loss = lossOf(row);
  return loss !== undefined && loss <= input.maxQualityLoss;
}

function choiceFrom(pool: readonly QuantizeRow[], allowed: readonly QuantizeRow[], input: RecommendInput): Choice {
  const row = best(pool, input)!;
  const second = best(
    pool.filter((other) => other !== row),
    input,
  );
  const alternatives = [];
  const others = allowed.filter(
    ({ engine, hardware }) => engine !== row.engine && ['native', 'weight-only'].includes(hardware.level),
  );
  const other = best(knownOf(others, input), input) ?? best(others, input);
  if (other) alternatives.push({ row: other, reason: costOf(other, input) });
  const faster = fastest(pool, row, input);
  if (faster && faster !== other) alternatives.push({ row: faster, reason: fasterReason(faster, row, input) });
  return { row, reason: reasonFor(row, second, input), change: changeOf(row, input), alternatives };
}

/** The first that no other one is preferred to, going through them once. */
export function best(rows: readonly QuantizeRow[], input: RecommendInput): QuantizeRow | undefined {
  let found: QuantizeRow | undefined;
  for (const row of rows) if (!found || prefers(row, found, input)) found = row;
  return found;
}

/** Whether `a` is to be taken before `b`. */
function prefers(a: QuantizeRow, b: QuantizeRow, input: RecommendInput): boolean {
  return orderOf(a, b, input) < 0;
}

export function orderOf(a: QuantizeRow, b: QuantizeRow, input: RecommendInput): number {
  const lossless = Number(isLossless(b, input)) - Number(isLossless(a, input));
  if (lossless !== 0) return lossless;
  if (isLossless(a, input)) return plainRank(a, input) - plainRank(b, input);
  const [first, second] = [noiseOf(a), noiseOf(b)];
  if (first !== second) return first ? -1 : 1;
  if (first) {
    const able = hardwareRank(a) - hardwareRank(b) || speedOrder(a, b);
    return able || relationRank(a) - relationRank(b) || borrowedRank(a) - borrowedRank(b);
  }
  const measured = compareMeasured(input.figuresOf(a), input.figuresOf(b));
  if (measured && Math.abs(measured.order) > alike * Math.abs(measured.table.baseline ?? 1)) return measured.order;
  return (
    input.bitsOf(b) - input.bitsOf(a) ||
    classOrder(a, b) ||
    hardwareRank(a) - hardwareRank(b) ||
    relationRank(a) - relationRank(b) ||
    speedOrder(a, b) ||
    borrowedRank(a) - borrowedRank(b)
  );
}

/** 16 bit, and the form that the maker publishes. */
function isLossless(row: QuantizeRow, input: RecommendInput): boolean {
  return row.published || input.bitsOf(row) >= 16;
}

function plainRank(row: QuantizeRow, input: RecommendInput): number {
  if (row.published) return 0;
  const own = isPlainForm(row.scheme, input);
  return row.engine === 'vllm' ? (own ? 1 : 2) : own ? 3 : 4;
}

/** The model as it is: bf16, or gguf-bf16. */
function isPlainForm(scheme: string, { plainScheme }: RecommendInput): boolean {
  return scheme === plainScheme || scheme === `gguf-${plainScheme === 'fp16' ? 'f16' : plainScheme}`;
}

function lossOf({ quality }: QuantizeRow): number | undefined {
  return quality?.relativeLoss ?? undefined;
}

function noiseOf(row: QuantizeRow): boolean {
  const loss = lossOf(row);
  return loss !== undefined && loss <= noiseFloor;
}

/** Coarse classes of loss, and only between figures of one kind: two perplexities, or two scores. */
function classOrder(a: QuantizeRow, b: QuantizeRow): number {
  const [first, second] = [lossOf(a), lossOf(b)];
  if (first === undefined || second === undefined) return 0;
  if (a.quality!.lowerIsBetter !== b.quality!.lowerIsBetter) return 0;
  return classOf(first) - classOf(second);
}

function classOf(loss: number): number {
  const found = lossClasses.findIndex((limit) => loss <= limit);
  return found < 0 ? lossClasses.length : found;
}

function hardwareRank({ hardware }: QuantizeRow): number {
  return ['native', 'weight-only', 'emulated', 'unknown', 'impossible'].indexOf(hardware.level);
}

function relationRank({ quality }: QuantizeRow): number {
  return quality ? ['model', 'family', 'other'].indexOf(quality.relation) : 3;
}

/** Figures of the scheme's own before those of one whose values are the same. */
function borrowedRank({ quality }: QuantizeRow): number {
  return quality?.borrowed ? 1 : 0;
}

/** Faster by a twentieth or more counts. */
function speedOrder(a: QuantizeRow, b: QuantizeRow): number {
  const [first, second] = [a.decodeSpeedRatio ?? 0, b.decodeSpeedRatio ?? 0];
  return Math.abs(first - second) > 0.05 * Math.max(first, second) ? second - first : 0;
}

/** What decodes at least a quarter faster without a loss that its benchmark can tell. */
function fastest(pool: readonly QuantizeRow[], row: QuantizeRow, input: RecommendInput): QuantizeRow | undefined {
  const rows = pool.filter(
    (other) => noiseOf(other) && (other.decodeSpeedRatio ?? 0) > 1.25 * (row.decodeSpeedRatio ?? 1),
  );
  return best(rows, input);
}

function fasterReason(faster: QuantizeRow, row: QuantizeRow, input: RecommendInput): string {
  const ratio = (faster.decodeSpeedRatio ?? 1) / (row.decodeSpeedRatio ?? 1);
  return `decodes up to ${ratio.toFixed(1)} times as fast; ${costOf(faster, input)}`;
}

function reasonFor(row: QuantizeRow, second: QuantizeRow | undefined, input: RecommendInput): string {
  const parts = [headline(row, input)];
  if (!isLossless(row, input)) parts.push(hardwareText(row));
  if (second && !isLossless(row, input)) parts.push(versus(row, second, input));
  if ((lossOf(row) ?? 0) > 0.1) parts.push('a smaller model with more bits may well answer better');
  return parts.filter(Boolean).join('; ');
}

function headline(row: QuantizeRow, input: RecommendInput): string {
  if (row.published) return 'the form that its maker publishes fits: nothing is lost against it';
  if (isLossless(row, input)) return 'it fits in 16 bit: nothing has to be given up';
  if (!row.quality || row.quality.relativeLoss === null)
    return 'nothing that fits has a published figure of its loss: the most bits of what fits';
  const cost = costOf(row, input);
  return noiseOf(row) ? `no loss that its benchmark can tell: ${cost}` : `the least loss of what fits: ${cost}`;
}

/** "Open LLM Leaderboard v1 average 98.9 against 100 (1.1 % lost), measured on X, of the same family". */
export function costOf(row: QuantizeRow, input: RecommendInput): string {
  if (isLossless(row, input)) return 'nothing is lost';
  return row.quality ? figureText(row.quality) : 'no published figure of its loss';
}

export function figureText(quality: RowQuality): string {
  const { metricName, value, baseline, relativeLoss, model, relation, recipe } = quality;
  const against = baseline === null ? '' : ` against ${baseline}`;
  const loss = relativeLoss === null ? '' : ` (${lossText(quality)})`;
  const how = recipe === null ? '' : `, ${recipe}`;
  return `${metricName} ${value}${against}${loss}, measured on ${model}${relationText[relation]}${how}`;
}

/** "1.1 % lost" of a score, "+4.8 %" of a perplexity. */
export function lossText({ relativeLoss, lowerIsBetter }: RowQuality): string {
  const loss = relativeLoss ?? 0;
  if (lowerIsBetter) return `${loss >= 0 ? '+' : '-'}${percent(Math.abs(loss))}`;
  return loss >= 0 ? `${percent(loss)} lost` : `${percent(-loss)} above`;
}

const relationText = { model: '', family: ', of the same family', other: ', another model' } as const;

function hardwareText({ hardware }: QuantizeRow): string {
  switch (hardware.level) {
    case 'native':
      return `the GPU multiplies in it (${hardware.how})`;
    case 'weight-only':
      return `a kernel reads it (${hardware.how})`;
    case 'emulated':
      return `nothing that fits is better supported: emulated here (${hardware.how})`;
    default:
      return `how the GPU runs it is not documented (${hardware.how})`;
  }
}

function versus(row: QuantizeRow, second: QuantizeRow, input: RecommendInput): string {
  if (noiseOf(row) && noiseOf(second))
    return `before ${second.scheme}, which is alike in quality, for the GPU or speed`;
  const measured = compareMeasured(input.figuresOf(row), input.figuresOf(second));
  if (measured && measured.order < 0)
    return `measured better than ${second.scheme} in the same table (${measured.table.model})`;
  if (measured) return `before ${second.scheme}, measured alike (${measured.table.model})`;
  if (noiseOf(row)) return '';
  const bits = input.bitsOf(row) - input.bitsOf(second);
  return `no table has both it and ${second.scheme}: ${bits > 0 ? 'more bits' : 'same bits'} first`;
}

function changeOf(row: QuantizeRow, input: RecommendInput): string {
  const kv = row.kv ?? { tokens: 0, sequencesAtContext: 0 };
  const sequences = kv.sequencesAtContext === 1 ? '1 sequence' : `${thousands(kv.sequencesAtContext)} sequences`;
  const capacity = `${thousands(kv.tokens)} tokens of KV cache, ${sequences}`;
  const plain = input.rows.find(({ scheme, engine }) => engine === row.engine && isPlainForm(scheme, input));
  if (!plain || input.bitsOf(row) >= 16) return `${gib(row.weightBytesPerGpu)} of weights a GPU; ${capacity}`;
  const speed = row.decodeSpeedRatio
    ? `; decoding up to ${row.decodeSpeedRatio.toFixed(1)} times as fast by bytes moved`
    : '';
  return `weights ${gib(plain.weightBytesPerGpu)} to ${gib(row.weightBytesPerGpu)} a GPU; ${capacity} (${plainText(plain)})${speed}`;
}

function plainText(plain: QuantizeRow): string {
  if (plain.fits) return `${thousands(plain.kv?.tokens ?? 0)} tokens in 16 bit`;
  return plain.shortfallBytes > 0 ? `16 bit is ${gib(plain.shortfallBytes)} short` : '16 bit does not run';
}

function noneFits(rows: readonly QuantizeRow[]): string {
  const short = rows.filter(({ state }) => state === 'short').sort((a, b) => a.shortfallBytes - b.shortfallBytes)[0];
  if (!short) return 'no engine asked for runs this model on this GPU in any scheme';
  return `nothing fits: ${short.scheme} comes nearest, ${short.shortfallBytes > 0 ? `${gib(short.shortfallBytes)} short` : (short.reason ?? '')}`;
}

function noneWithin(fitting: readonly QuantizeRow[], input: RecommendInput): string {
  const measured = fitting.filter((row) => lossOf(row) !== undefined);
  const least = best(measured, input);
  const limit = percent(input.maxQualityLoss ?? 0);
  if (!least) return `nothing that fits has a published figure within ${limit}`;
  return `nothing that fits is known to lose at most ${limit}; the least is ${least.scheme}: ${costOf(least, input)}`;
}
