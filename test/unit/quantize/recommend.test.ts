// Which row is taken: rows made by hand, figures as published.
import { describe, expect, it } from 'vitest';
import { loadPresets } from '../../../src/load/presets.ts';
import { figuresOf } from '../../../src/plan/quality/book.ts';
import { rowQuality } from '../../../src/plan/quantize/quality.ts';
import { type Choice, recommend } from '../../../src/plan/quantize/recommend.ts';
import type { HardwareLevel } from '../../../src/plan/quantize/support.ts';
import type { QuantizeRow } from '../../../src/plan/quantize/types.ts';
import { findScheme } from '../../../src/spec/quantization.ts';

const schemes = loadPresets('quantizations');
const subject = { id: 'llama-3.1-8b', family: 'llama-3.1', parameters: 8_030_261_248 };
const quality = { book: loadPresets('quality'), subject, domain: undefined };

function row(id: string, level: HardwareLevel = 'weight-only', more: Partial<QuantizeRow> = {}): QuantizeRow {
  const scheme = findScheme(schemes, id)!;
  const none = {
    weightsBytes: 1,
    scalesBytes: 0,
    zeroPointsBytes: 0,
    sixteenBitBytes: 0,
    otherBytes: 0,
    totalBytes: 1,
  };
  return {
    scheme: id,
    name: id,
    engine: (scheme.engines ?? ['vllm'])[0]!,
    published: false,
    storage: { ...none, confidence: 'derived' },
    bitsPerWeight: scheme.bits,
    weightBytesPerGpu: scheme.bits * 1e9,
    activations: '16 bit',
    kv: { tokens: 1000, sequencesAtContext: 1 },
    state: 'fits',
    fits: true,
    shortfallBytes: 0,
    reason: null,
    confidence: 'derived',
    quality: rowQuality(scheme, quality),
    hardware: { level, how: '', source: null },
    engineSupport: [],
    decodeSpeedRatio: 16 / scheme.bits,
    notes: [],
    ...more,
  };
}

function chosen(rows: QuantizeRow[], maxQualityLoss?: number): Choice | { none: string } {
  return recommend({
    rows,
    bitsOf: ({ scheme }) => findScheme(schemes, scheme)!.bits,
    figuresOf: ({ scheme }) => figuresOf(quality.book, scheme, subject),
    maxQualityLoss,
    plainScheme: 'bf16',
  });
}
const pick = (rows: QuantizeRow[], max?: number) => {
  const choice = chosen(rows, max);
  return 'none' in choice ? choice.none : choice.row.scheme;
};
const short = { state: 'short', fits: false, kv: null, shortfallBytes: 2 ** 30 } as const;

describe('the recommendation', () => {
  it('is 16 bit where that fits, the model’s own dtype first', () => {
    expect(
      pick([row('fp8-dynamic', 'native'), row('fp16', 'native'), row('bf16', 'native'), row('fp32', 'native')]),
    ).toBe('bf16');
  });

  it('is the published form before everything else', () => {
    expect(pick([row('bf16', 'native'), row('w4a16', 'weight-only', { published: true, quality: null })])).toBe(
      'w4a16',
    );
  });

  it('among schemes without a loss that can be told: what the GPU multiplies in', () => {
    expect(pick([row('q6_k'), row('w8a8', 'native'), row('q8_0')])).toBe('w8a8');
  });

  it('goes by a common table: w4a16 before awq', () => {
    expect(pick([row('awq'), row('w4a16')])).toBe('w4a16');
    expect(pick([row('w4a16'), row('awq')])).toBe('w4a16');
  });

  it('does not take FP4 tensor cores for quality', () => {
    expect(pick([row('nvfp4', 'native'), row('w4a16')])).toBe('w4a16');
  });

  it('never what does not fit, nor what the GPU has no kernel for while others do', () => {
    expect(pick([row('fp8-dynamic', 'native', short), row('q2_k')])).toBe('q2_k');
    expect(pick([row('q6_k', 'emulated'), row('gptq')])).toBe('gptq');
    expect(pick([row('q6_k', 'emulated'), row('q4_k_m', 'emulated')])).toBe('q6_k');
  });

  it('what nobody measured only where nothing else fits', () => {
    expect(pick([row('w4a16-g32'), row('gptq')])).toBe('gptq');
    expect(pick([row('w4a16-g32'), row('w4a16-g64')])).toBe('w4a16-g32');
  });

  it('keeps to the loss that is allowed, and to what is known', () => {
    expect(pick([row('awq'), row('q4_k_m')], 0.02)).toBe('awq');
    expect(pick([row('q4_k_m'), row('w4a16-g32')], 0.01)).toMatch(
      /nothing that fits is known to lose at most 1\.0 %; the least is q4_k_m/,
    );
    expect(pick([row('bf16', 'native')], 0)).toBe('bf16');
  });

  it('says how near the nearest is where nothing fits', () => {
    expect(
      pick([row('q4_k_m', 'weight-only', short), row('w4a16', 'weight-only', { ...short, shortfallBytes: 5 })]),
    ).toMatch(/^nothing fits: w4a16 comes nearest/);
  });

  it('names the best of the other engine, and the fastest without a loss', () => {
    const choice = chosen([row('bf16', 'native'), row('fp8-dynamic', 'native'), row('q8_0')]) as Choice;
    expect(choice.row.scheme).toBe('bf16');
    expect(choice.alternatives.map(({ row: { scheme } }) => scheme)).toEqual(['q8_0', 'fp8-dynamic']);
  });
});
