// Prices: by the published lists of providers, medians by hand, and nothing where nothing is known.
import { describe, expect, it } from 'vitest';
import { findPreset, loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { mergedPrices, parsePrices, priceOf, pricesFrom, unknownPriceNames } from '../../../src/plan/price.ts';
import type { GpuSpec } from '../../../src/spec/gpu.ts';

const gpu = (id: string) => loadPreset('gpus', id);
const node = (id: string) => findPreset('nodes', id)!;
const gpus = (id: string, count: number) => Array.from({ length: count }, () => gpu(id));

const made = (pricePerHour: GpuSpec['pricePerHour']): GpuSpec => ({
  ...gpu('rtx4080'),
  ...(pricePerHour ? { pricePerHour } : {}),
});

describe('priceOf', () => {
  it('is the list price of a node that is rented whole', () => {
    const price = priceOf({ gpus: gpus('h100-sxm', 8), nodes: [node('p5.48xlarge')] })!;
    // AWS on demand in us-east-1 since the cut of June 2025; capacity blocks were 39.33.
    expect(price).toMatchObject({ perHour: 55.04, lowPerHour: 39.33, highPerHour: 55.04, confidence: 'exact' });
    expect(priceOf({ gpus: gpus('h100-sxm', 16), nodes: [node('p5.48xlarge'), node('p5.48xlarge')] })!.perHour).toBe(
      110.08,
    );
  });

  it('is the median of what providers ask for one', () => {
    const one = made({ min: 0.5, max: 9, offers: { a: 1, b: 2, c: 9 }, date: '2026-01', source: 's' });
    expect(priceOf({ gpus: { gpu: one, count: 4 } })).toMatchObject({
      perHour: 8,
      lowPerHour: 2,
      highPerHour: 36,
      date: '2026-01',
      confidence: 'derived',
    });
  });

  it('is the middle of a marketplace, called an estimate', () => {
    const price = priceOf({ gpus: [made({ min: 0.2, max: 0.4, source: 'market' })] })!;
    expect(price.perHour).toBeCloseTo(0.3, 9);
    expect(price.confidence).toBe('estimated');
  });

  it('is unknown where one of the GPUs has none', () => {
    expect(priceOf({ gpus: [gpu('rtx4080')] })).toBeUndefined();
    expect(priceOf({ gpus: [gpu('rtx4090'), gpu('rtx4080')] })).toBeUndefined();
  });

  it('adds up different GPUs', () => {
    const [a, b] = ['rtx4090', 'rtx3090'].map((id) => priceOf({ gpus: [gpu(id)] })!.perHour) as [number, number];
    expect(priceOf({ gpus: [gpu('rtx4090'), gpu('rtx3090')] })!.perHour).toBeCloseTo(a + b, 9);
  });

  it('stays within a factor of two of an index of neocloud prices', () => {
    // Compute Credit Index Research, 2026-06-24, tier 2 (neoclouds), USD a GPU hour.
    for (const [id, index] of Object.entries({
      'h100-sxm': 3.27,
      'h200-sxm': 4.34,
      b200: 6.11,
      'a100-80gb-sxm': 2.5,
    })) {
      const { perHour } = priceOf({ gpus: [gpu(id)] })!;
      expect(perHour / index, id).toBeGreaterThan(0.5);
      expect(perHour / index, id).toBeLessThan(2);
    }
  });
});

describe('stated prices', () => {
  it('go before all others, by any name of the GPU or the node', () => {
    const overrides = parsePrices('H100=2.10,rtx 4090=0.35,p5.48xlarge=40');
    expect(priceOf({ gpus: gpus('h100-sxm', 2), overrides })).toMatchObject({
      perHour: 4.2,
      confidence: 'exact',
      date: null,
    });
    expect(priceOf({ gpus: gpus('h100-sxm', 8), nodes: [node('p5.48xlarge')], overrides })!.perHour).toBe(40);
    expect(priceOf({ gpus: gpus('h100-sxm', 8), nodes: [node('hgx-h100')], overrides })!.perHour).toBeCloseTo(16.8, 9);
    expect(priceOf({ gpus: [gpu('rtx4080')], overrides: parsePrices('$1.5') })!.perHour).toBe(1.5);
  });

  it('come from files too, the later ones first', () => {
    const file = pricesFrom({ 'h100-sxm': 2.5, default: '0.9' }, 'prices.yaml');
    expect(file).toEqual({ all: 0.9, named: new Map([['h100sxm', 2.5]]) });
    expect(mergedPrices(file, parsePrices('h100-sxm=3')).named.get('h100sxm')).toBe(3);
  });

  it.each(['', 'h100=', '-1', '=2', 'h100=1e9', 'NaN', '1,2,x', 'h100==2x'])('refuses %j', (text) => {
    expect(() => parsePrices(text)).toThrow(/is no price|needs the name/);
  });

  it.each([[[]], ['2'], [null], [{ h100: 'cheap' }]])('refuses the list %j', (value) => {
    expect(() => pricesFrom(value, 'f.yaml')).toThrow();
  });

  it('names what nothing is called', () => {
    expect(unknownPriceNames(parsePrices('h100-sxm=2,h1000=3'), loadPresets('gpus'))).toEqual(['h1000']);
  });
});

describe('presets', () => {
  it('have a price within its range, with a date where there are offers', () => {
    for (const entry of loadPresets('gpus')) {
      const known = entry.pricePerHour;
      if (!known) continue;
      const { perHour } = priceOf({ gpus: [entry] })!;
      expect(known.min <= perHour && perHour <= known.max, entry.id).toBe(true);
      if (known.offers) expect(known.date, entry.id).toBeDefined();
    }
  });

  it('agree: a node costs about what its GPUs do', () => {
    for (const preset of loadPresets('nodes')) {
      const listed = preset.prices?.find(({ kind }) => kind === 'on-demand');
      const range = loadPreset('gpus', preset.gpu).pricePerHour;
      if (!listed) continue;
      expect(range, preset.id).toBeDefined();
      // Instances with many CPUs for one small GPU cost more than the GPU.
      expect(listed.perHour / preset.count, preset.id).toBeGreaterThanOrEqual(range!.min * 0.99);
      expect(listed.perHour / preset.count, preset.id).toBeLessThanOrEqual(range!.max * 9);
    }
  });
});
