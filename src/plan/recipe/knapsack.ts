// One type for each item under a budget, the smallest loss in sum: a multiple-choice knapsack. The increments of every item's
// lower convex hull are taken by loss saved per byte until one does not fit; what lies outside of the layers is few and large and
// is tried in every combination. A larger budget takes every increment a smaller one takes, so that it is never worse.
// Sinha, Zoltners: The multiple-choice knapsack problem, Operations Research 27 (1979): hulls, and the bound by relaxation.
import { assert } from '../../assert.ts';

export interface Option {
  bytes: number;
  loss: number;
}

export interface Item {
  /** Allowed options, in any order; the first with the fewest bytes is where the item starts. */
  options: readonly Option[];
  /** Counts against the budget; the others are priced alike and follow. */
  charged: boolean;
  /** Among increments of the same worth, lower ranks come first. */
  rank: number;
  /** Tried in every combination: its increments are too large for a gap to be small. */
  large?: boolean;
}

export interface Choice {
  /** Index into the options of each item. */
  picked: readonly number[];
  /** Charged bytes. */
  bytes: number;
  loss: number;
  /** No choice under the budget loses less. */
  bound: number;
}

interface Step {
  item: number;
  option: number;
  charged: number;
  saved: number;
  worth: number;
  rank: number;
}

/** Undefined where the smallest options do not fit either. Deterministic. */
export function chooseOptions(items: readonly Item[], budgetBytes: number): Choice | undefined {
  assert(
    items.every((item) => item.options.length > 0),
    'an item without options',
  );
  const hulls = items.map((item) => hullOf(item.options));
  const base = chargedBytes(items, (i) => items[i]!.options[hulls[i]![0]!]!.bytes);
  if (base > budgetBytes) return undefined;
  const large = items.map((_, i) => i).filter((i) => items[i]!.large && items[i]!.charged && hulls[i]!.length > 1);
  const combinations = large.reduce((product, i) => product * hulls[i]!.length, 1);
  const tried = combinations <= mostCombinations ? large : [];
  const rest = stepsOf(items, hulls, (i) => !tried.includes(i));
  let best: { loss: number; fixed: readonly number[]; taken: number } | undefined;
  const everyLoss = items.reduce((sum, item, i) => sum + item.options[hulls[i]![0]!]!.loss, 0);
  for (const fixed of product(tried.map((i) => hulls[i]!))) {
    let [bytes, loss] = [base, everyLoss];
    tried.forEach((i, k) => {
      const [from, to] = [items[i]!.options[hulls[i]![0]!]!, items[i]!.options[fixed[k]!]!];
      bytes += to.bytes - from.bytes;
      loss += to.loss - from.loss;
    });
    if (bytes > budgetBytes) continue;
    const taken = prefixThatFits(rest, budgetBytes - bytes);
    loss -= rest.saved[taken]!;
    if (!best || loss < best.loss) best = { loss, fixed, taken };
  }
  assert(best !== undefined, 'the smallest options fit, so that some combination does');
  const picked = hulls.map((hull) => hull[0]!);
  for (const step of rest.steps.slice(0, best.taken)) picked[step.item] = step.option;
  tried.forEach((i, k) => {
    picked[i] = best.fixed[k]!;
  });
  return {
    picked,
    bytes: chargedBytes(items, (i) => items[i]!.options[picked[i]!]!.bytes),
    loss: items.reduce((sum, item, i) => sum + item.options[picked[i]!]!.loss, 0),
    bound: relaxation(items, hulls, { base, everyLoss, budgetBytes }),
  };
}

/** Charged bytes when every item takes its smallest option. */
export function smallestBytes(items: readonly Item[]): number {
  return chargedBytes(items, (i) => Math.min(...items[i]!.options.map(({ bytes }) => bytes)));
}

/** The smallest option of every item. */
export function smallestOptions(items: readonly Item[]): number[] {
  return items.map((item) => hullOf(item.options)[0]!);
}

const mostCombinations = 4096;

function chargedBytes(items: readonly Item[], bytesOf: (i: number) => number): number {
  return items.reduce((sum, item, i) => sum + (item.charged ? bytesOf(i) : 0), 0);
}

/** Indices of the options on the lower convex hull, by ascending bytes: each saves less per byte than the one before. */
function hullOf(options: readonly Option[]): number[] {
  const order = options
    .map((_, i) => i)
    .sort((a, b) => options[a]!.bytes - options[b]!.bytes || options[a]!.loss - options[b]!.loss);
  const hull: number[] = [];
  for (const i of order) {
    const next = options[i]!;
    const last = hull.at(-1);
    if (last !== undefined && next.loss >= options[last]!.loss) continue;
    while (
      hull.length >= 2 &&
      worthOf(options[hull.at(-2)!]!, options[hull.at(-1)!]!) <= worthOf(options[hull.at(-1)!]!, next)
    )
      hull.pop();
    hull.push(i);
  }
  return hull;
}

function worthOf(from: Option, to: Option): number {
  return (from.loss - to.loss) / (to.bytes - from.bytes);
}

interface Steps {
  steps: readonly Step[];
  /** Running sums: after the first n steps. */
  charged: readonly number[];
  saved: readonly number[];
}

function stepsOf(
  items: readonly Item[],
  hulls: readonly (readonly number[])[],
  included: (i: number) => boolean,
): Steps {
  const steps: Step[] = [];
  items.forEach((item, i) => {
    if (!included(i)) return;
    const hull = hulls[i]!;
    for (let k = 1; k < hull.length; k++) {
      const [from, to] = [item.options[hull[k - 1]!]!, item.options[hull[k]!]!];
      const charged = item.charged ? to.bytes - from.bytes : 0;
      steps.push({
        item: i,
        option: hull[k]!,
        charged,
        saved: from.loss - to.loss,
        worth: worthOf(from, to),
        rank: item.rank,
      });
    }
  });
  steps.sort((a, b) => b.worth - a.worth || a.rank - b.rank || a.item - b.item);
  const charged = [0];
  const saved = [0];
  for (const step of steps) {
    charged.push(charged.at(-1)! + step.charged);
    saved.push(saved.at(-1)! + step.saved);
  }
  return { steps, charged, saved };
}

/** How many of the steps fit, in their order. */
function prefixThatFits({ charged }: Steps, bytes: number): number {
  let [low, high] = [0, charged.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (charged[middle]! <= bytes) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The relaxation that may take a part of the last increment. */
function relaxation(
  items: readonly Item[],
  hulls: readonly (readonly number[])[],
  { base, everyLoss, budgetBytes }: { base: number; everyLoss: number; budgetBytes: number },
): number {
  const all = stepsOf(items, hulls, (i) => items[i]!.charged);
  const free = items.reduce((sum, item, i) => {
    if (item.charged) return sum;
    const hull = hulls[i]!;
    return sum + item.options[hull[0]!]!.loss - item.options[hull.at(-1)!]!.loss;
  }, 0);
  const taken = prefixThatFits(all, budgetBytes - base);
  const next = all.steps[taken];
  const part = next ? ((budgetBytes - base - all.charged[taken]!) / next.charged) * next.saved : 0;
  return everyLoss - free - all.saved[taken]! - part;
}

/** Every way to take one of each list. */
function* product(lists: readonly (readonly number[])[]): Generator<readonly number[]> {
  const [first, ...rest] = lists;
  if (!first) {
    yield [];
    return;
  }
  for (const tail of product(rest)) for (const value of first) yield [value, ...tail];
}
