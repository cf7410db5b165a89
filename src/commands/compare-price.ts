// What the GPUs of a row cost an hour: the presets' prices, or what --price and --prices state.
import type { Diagnostic } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { loadPresets } from '../load/presets.ts';
import { readPrices } from '../load/prices.ts';
import type { PriceFigures } from '../plan/compare/subject.ts';
import { mergedPrices, type PriceOverrides, parsePrices, priceOf, unknownPriceNames } from '../plan/price.ts';
import type { GpuEntry } from './compare-lists.ts';

const known = new WeakMap<GpuEntry, Map<number, PriceFigures | null>>();

/** Null where no price is known for one of them. The same for every row of an entry with as many GPUs: computed once. */
export function priceFigures(
  entry: GpuEntry,
  needed: number,
  overrides: PriceOverrides | undefined,
): PriceFigures | null {
  let byCount = known.get(entry);
  if (!byCount) {
    byCount = new Map();
    known.set(entry, byCount);
  }
  let figures = byCount.get(needed);
  if (figures === undefined) {
    figures = computed(entry, needed, overrides);
    byCount.set(needed, figures);
  }
  return figures;
}

function computed(
  { gpus, count, nodes }: GpuEntry,
  needed: number,
  overrides: PriceOverrides | undefined,
): PriceFigures | null {
  const price = priceOf({ gpus: count === null ? { gpu: gpus[0]!, count: needed } : gpus, nodes, overrides });
  if (!price) return null;
  const { perHour, lowPerHour, highPerHour } = price;
  return { perHour, lowPerHour, highPerHour };
}

/** --price goes before --prices. A name that no GPU has is most likely misspelt, and said so. */
export async function priceRules(
  { price, prices }: { price: string | undefined; prices: string | undefined },
  io: Io,
  diagnostics: Diagnostic[],
): Promise<PriceOverrides | undefined> {
  const lists = [
    ...(prices === undefined ? [] : [await readPrices(prices, { env: io.env })]),
    ...(price === undefined ? [] : [parsePrices(price)]),
  ];
  if (lists.length === 0) return undefined;
  const merged = mergedPrices(...lists);
  const unknown = unknownPriceNames(merged, [...loadPresets('gpus'), ...loadPresets('nodes')]);
  if (unknown.length > 0)
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM712',
      message: `prices for names that no GPU or node has: ${unknown.join(', ')}`,
      hint: 'vram list gpus, vram list nodes',
      path: '--price',
    });
  return merged;
}
