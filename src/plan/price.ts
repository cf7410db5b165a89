// What an hour of some GPUs costs, in US dollars. A price is what a person pays on demand, not a contract and not a spot market: of a node
// that is rented whole its list price, of GPUs alone the median over providers of what each asks for one, or, where only a marketplace
// has the card, the middle of what was seen there. The data live with the presets, each with source and date; where nothing is known
// there is no price, and nothing is made up. What a user states (--price, --prices) goes before all of it.
import { inputError } from '../diagnostics.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { NodeSpec } from '../spec/node.ts';
import type { Confidence } from './types.ts';

export interface Price {
  perHour: number;
  /** From the cheapest that was seen (spot, capacity blocks and marketplaces included) to the dearest. */
  lowPerHour: number;
  highPerHour: number;
  source: string;
  /** When the sources had it; null for what the user states. */
  date: string | null;
  /** exact: a list price, or stated; derived: a median of list prices; estimated: a marketplace. */
  confidence: Confidence;
}

/** What the user states: one price for every GPU, prices by GPU (or node) name, or both. */
export interface PriceOverrides {
  /** USD an hour of any GPU that has no price of its own here. */
  all?: number;
  /** By nameKey of a GPU's or node's id or alias; of a node, for the whole node. */
  named: ReadonlyMap<string, number>;
}

export interface PriceInput {
  gpus: readonly GpuSpec[] | { gpu: GpuSpec; count: number };
  /** Machines that have to be rented whole. */
  nodes?: readonly NodeSpec[] | undefined;
  overrides?: PriceOverrides | undefined;
}

/** Undefined where no price is known for one of them. */
export function priceOf({ gpus, nodes, overrides }: PriceInput): Price | undefined {
  if (nodes && nodes.length > 0) {
    const whole = sumOf(nodes.map((node) => [nodePrice(node, overrides), 1]));
    if (whole) return whole;
  }
  const counted: readonly (readonly [GpuSpec, number])[] =
    'gpu' in gpus ? [[gpus.gpu, gpus.count]] : [...countsOf(gpus)];
  return sumOf(counted.map(([gpu, count]) => [gpuPrice(gpu, overrides), count]));
}

function countsOf(gpus: readonly GpuSpec[]): Map<GpuSpec, number> {
  const counts = new Map<GpuSpec, number>();
  for (const gpu of gpus) counts.set(gpu, (counts.get(gpu) ?? 0) + 1);
  return counts;
}

function sumOf(parts: readonly (readonly [Price | undefined, number])[]): Price | undefined {
  const all: Price = { perHour: 0, lowPerHour: 0, highPerHour: 0, source: '', date: null, confidence: 'exact' };
  const sources = new Set<string>();
  for (const [price, count] of parts) {
    if (!price) return undefined;
    all.perHour += price.perHour * count;
    all.lowPerHour += price.lowPerHour * count;
    all.highPerHour += price.highPerHour * count;
    if (price.date !== null && (all.date === null || price.date < all.date)) all.date = price.date;
    if (rank[price.confidence] > rank[all.confidence]) all.confidence = price.confidence;
    sources.add(price.source);
  }
  for (const key of ['perHour', 'lowPerHour', 'highPerHour'] as const) all[key] = Math.round(all[key] * 1e6) / 1e6;
  return { ...all, source: [...sources].join('; ') };
}

const rank: Readonly<Record<Confidence, number>> = { exact: 0, derived: 1, estimated: 2 };

/** Of one GPU for one hour. */
export function gpuPrice(gpu: GpuSpec, overrides?: PriceOverrides): Price | undefined {
  const own = statedFor(gpu, overrides) ?? overrides?.all;
  if (own !== undefined) return stated(own);
  const known = gpu.pricePerHour;
  if (!known) return undefined;
  const { min, max, source, date = null } = known;
  const offers = Object.values(known.offers ?? {});
  const range = { lowPerHour: min, highPerHour: max, date };
  if (offers.length === 0)
    return {
      ...range,
      perHour: (min + max) / 2,
      source: `middle of ${min} to ${max}: ${source}`,
      confidence: 'estimated',
    };
  const of = Object.keys(known.offers!).join(', ');
  const what = offers.length === 1 ? `on demand at ${of}` : `median of ${offers.length} providers on demand (${of})`;
  return { ...range, perHour: median(offers), source: `${what}: ${source}`, confidence: 'derived' };
}

/** Of a whole node for one hour; prices by the GPU count for every GPU in it. */
export function nodePrice(node: NodeSpec, overrides?: PriceOverrides): Price | undefined {
  const own = statedFor(node, overrides);
  if (own !== undefined) return stated(own);
  const perGpu = overrides?.named.get(nameKey(node.gpu)) ?? overrides?.all;
  if (perGpu !== undefined) return stated(perGpu * node.count);
  const listed = node.prices?.filter(({ kind }) => kind === 'on-demand') ?? [];
  if (listed.length === 0) return undefined;
  const every = node.prices!.map(({ perHour }) => perHour);
  const { source, date } = listed[0]!;
  return {
    perHour: median(listed.map(({ perHour }) => perHour)),
    lowPerHour: Math.min(...every),
    highPerHour: Math.max(...every),
    source: `${node.id}, rented whole: ${source}`,
    date,
    confidence: 'exact',
  };
}

function statedFor(
  { id, aliases = [] }: GpuSpec | NodeSpec,
  overrides: PriceOverrides | undefined,
): number | undefined {
  if (!overrides || overrides.named.size === 0) return undefined;
  for (const name of [id, ...aliases]) {
    const price = overrides.named.get(nameKey(name));
    if (price !== undefined) return price;
  }
  return undefined;
}

function stated(perHour: number): Price {
  return { perHour, lowPerHour: perHour, highPerHour: perHour, source: 'as stated', date: null, confidence: 'exact' };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Names compare by their letters, digits and dots. */
export function nameKey(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9.]+/g, '');
}

/**
 * `--price 2.10` (every GPU), `--price h100-sxm=2.10,rtx4090=0.35` (by name), both mixed. Throws InputError (VRAM178) for anything else.
 */
export function parsePrices(text: string, option = '--price'): PriceOverrides {
  const named = new Map<string, number>();
  let all: number | undefined;
  for (const part of text.split(',')) {
    const at = part.lastIndexOf('=');
    const price = amount(part.slice(at + 1), option);
    if (at < 0) all = price;
    else named.set(keyOrThrow(part.slice(0, at), option), price);
  }
  return { ...(all === undefined ? {} : { all }), named };
}

/** The value of a --prices file: `h100-sxm: 2.10` a line; `default` for every other GPU. Same errors, with the file's name. */
export function pricesFrom(value: unknown, file: string): PriceOverrides {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad('a price list maps names to USD an hour', file);
  }
  const named = new Map<string, number>();
  let all: number | undefined;
  for (const [name, price] of Object.entries(value)) {
    const perHour = amount(String(price), `${file}: ${name.slice(0, 100)}`);
    if (name === 'default') all = perHour;
    else named.set(keyOrThrow(name, file), perHour);
  }
  return { ...(all === undefined ? {} : { all }), named };
}

/** The later ones go before the earlier ones. */
export function mergedPrices(...lists: readonly PriceOverrides[]): PriceOverrides {
  const all = lists.findLast((list) => list.all !== undefined)?.all;
  return { ...(all === undefined ? {} : { all }), named: new Map(lists.flatMap(({ named }) => [...named])) };
}

/** Names that neither a GPU nor a node has: most likely misspelt. */
export function unknownPriceNames(
  { named }: PriceOverrides,
  known: readonly { id: string; aliases?: string[] }[],
): string[] {
  const names = new Set(known.flatMap(({ id, aliases = [] }) => [id, ...aliases].map(nameKey)));
  return [...named.keys()].filter((key) => !names.has(key));
}

function keyOrThrow(name: string, path: string): string {
  const key = nameKey(name);
  if (key === '') throw bad('a price needs the name of a GPU or a node', path);
  return key;
}

const dearest = 1e5;

function amount(text: string, path: string): number {
  const value = /^\s*\$?\s*(\d+(?:\.\d*)?|\.\d+)\s*$/.exec(text)?.[1];
  const price = value === undefined ? Number.NaN : Number(value);
  const shown = JSON.stringify(text.trim().slice(0, 40));
  if (price > dearest) throw bad(`${shown} is more than ${dearest.toLocaleString('en-US')} USD an hour`, path);
  if (Number.isNaN(price)) throw bad(`${shown} is no price`, path);
  return price;
}

function bad(message: string, path: string): Error {
  return inputError('VRAM178', message, {
    hint: 'USD an hour, e.g. --price 2.10 or --price h100-sxm=2.10,rtx4090=0.35',
    path,
  });
}
