// The rotary tables that a rank holds: rows and element size by rope type. Law: vLLM
// model_executor/layers/rotary_embedding/. One table per distinct configuration, on every stage with attention layers.
import type { RotaryTable } from '../../../architecture/types.ts';
import type { WeightRules } from './rules.ts';

export interface RotaryContext {
  dtypeBytes: number;
  architecture: string;
  enforceEager: boolean;
  /** original_max_position_embeddings of the configuration itself (Phi-3 states it outside the rope section). */
  originalPositions?: number;
  /** The tables of MLA layers are DeepSeek's own YaRN. */
  mla: boolean;
  rules: Partial<WeightRules>;
}

/**
 * Bytes of one table: rows x rotated dimension x element size. Classes that run on the Transformers backend keep only the
 * inverse frequencies, current and original, in float32 (model_executor/models/transformers/).
 */
export function rotaryBytes(table: RotaryTable, context: RotaryContext): number {
  if (context.rules['weights.transformersBackend']?.includes(context.architecture)) return 2 * (table.dim / 2) * 4;
  return rotaryRows(table, context) * table.dim * elementBytes(table, context);
}

/** Tables that layers of the stage read; those of layers with equal configurations are one. */
export function distinctTables(tables: readonly RotaryTable[], stage: { start: number; end: number }): RotaryTable[] {
  const read = tables.filter(
    ({ layers }) => !layers || layers.some((layer) => layer >= stage.start && layer < stage.end),
  );
  const seen = new Map(read.map((table) => [JSON.stringify([table.dim, table.positions, table.rope]), table]));
  return [...seen.values()];
}

/**
 * Rows by rope type: max_position for most; times the factor for linear (a sum over the factors) and, up to the release where
 * it stopped, dynamic; original length times the factor for YaRN; short plus long table for longrope; mrope has four times
 * as many, except for the classes that a release exempts.
 */
function rotaryRows(table: RotaryTable, context: RotaryContext): number {
  const { rope, positions } = table;
  const type = typeof rope.type === 'string' ? rope.type : 'default';
  const original = numberOr(rope.originalMaxPositionEmbeddings, context.originalPositions ?? positions);
  const factor = numberOr(rope.factor, 1);
  const mrope = Array.isArray(rope.mropeSection) ? mropeFactor(context) : 1;
  switch (type) {
    case 'linear':
      return Math.ceil(positions * (Array.isArray(rope.factor) ? sumOf(rope.factor) : factor));
    case 'dynamic':
      if (rope.alpha !== undefined) return positions;
      return context.rules['weights.rotaryDynamicRows'] === 'positions' ? positions : Math.ceil(positions * factor);
    case 'yarn':
    case 'deepseek_yarn':
    case 'deepseek_llama_scaling':
      return Math.ceil(original * factor * mrope);
    case 'longrope':
    case 'su':
      return original + positions;
    default:
      return positions * mrope;
  }
}

function mropeFactor({ rules, architecture }: RotaryContext): number {
  const rule = rules['weights.rotaryMropeRows'];
  return rule?.single?.includes(architecture) ? 1 : 4;
}

/** The model's dtype, float32 for the classes and rope types that a release computes so. */
function elementBytes(
  table: RotaryTable,
  { dtypeBytes, architecture, enforceEager, mla, rules }: RotaryContext,
): number {
  if (rules['weights.rotaryFloat32Classes']?.includes(architecture)) return 4;
  const eager = rules['weights.rotaryFloat32Eager'];
  const type = typeof table.rope.type === 'string' ? table.rope.type : 'default';
  if (eager && enforceEager && mla && type.endsWith('yarn') && eager.dims.includes(table.dim)) return 4;
  return dtypeBytes;
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}

function sumOf(values: readonly unknown[]): number {
  return values.reduce<number>((total, value) => total + (typeof value === 'number' ? value : 0), 0);
}
