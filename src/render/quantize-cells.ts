// The cells that the tables of `vram quantize` share, in every form: loss with how near it was measured, what the GPU does, speed.
import type { HardwareLevel } from '../plan/quantize/support.ts';
import type { QuantizeRow, RowQuality } from '../plan/quantize/types.ts';
import { GiB } from '../units.ts';

/** Before a loss: measured on this model, on its family, on another model. */
export const relationMarks = { model: '=', family: '~', other: '?' } as const;

export const hardwareWords: Readonly<Record<HardwareLevel, string>> = {
  native: 'native',
  'weight-only': 'kernel',
  emulated: 'emul.',
  impossible: 'no',
  unknown: 'unclear',
};

export function inGib(bytes: number): string {
  return (bytes / GiB).toFixed(bytes < 10 * GiB ? 2 : 1);
}

/** "~ 1.1% OpenLLM v1", "= +4.8% ppl"; a loss is positive. */
export function lossCell(row: Pick<QuantizeRow, 'quality' | 'published'>, plain: boolean): string {
  if (row.published) return 'as published';
  if (plain) return 'reference';
  return row.quality ? lossOf(row.quality) : 'no figure';
}

export function lossOf({ relation, relativeLoss, lowerIsBetter, metricShort }: RowQuality): string {
  const mark = relationMarks[relation];
  if (relativeLoss === null) return `${mark} no baseline`;
  const sign = relativeLoss < 0 ? '-' : lowerIsBetter ? '+' : '';
  const share = Math.abs(relativeLoss) * 100;
  return `${mark} ${sign}${share.toFixed(share < 99.95 ? 1 : 0)}% ${metricShort}`;
}

export function speedCell(ratio: number | null): string {
  return ratio === null ? '' : `${ratio.toFixed(ratio < 9.95 ? 1 : 0)}x`;
}

/** 16 bit and 32 bit: what others are measured against. */
export function isPlain({ scheme }: Pick<QuantizeRow, 'scheme'>): boolean {
  return ['bf16', 'fp16', 'fp32', 'gguf-f32', 'gguf-f16', 'gguf-bf16'].includes(scheme);
}

/** 86.8k, 1.15M: tokens where columns are narrow. */
export function tokensCell(tokens: number): string {
  if (tokens < 1e4) return String(tokens);
  return tokens < 999_950 ? `${(tokens / 1e3).toFixed(1)}k` : `${(tokens / 1e6).toFixed(2)}M`;
}
