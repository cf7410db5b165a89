// How to deal out a whole number of equal things (layers) to unequal takers (GPUs), in order, so that the poorest is as rich as possible.
// What a deal is worth is the caller's: it plans each one. Law: where a taker only loses by taking more, a deal that no single move from
// the poorest taker improves is the best one, so moves are enough; few deals are all tried.

export interface Worth {
  /** What the deal is for (tokens, context); a deal that does not work has less than any that does. */
  score: number;
  /** How rich each taker is left, in any unit of their own; the poorest gives. */
  rooms: readonly number[];
}

export interface SharesInput {
  total: number;
  /** A deal to begin with. */
  start: readonly number[];
  /** Every taker gets at least so much. */
  least: number;
  worth: (shares: readonly number[]) => Worth;
  /** Try all deals up to so many. */
  few?: number;
}

export interface Deal {
  shares: number[];
  worth: Worth;
}

export function bestShares({ total, start, least, worth, few = 64 }: SharesInput): Deal {
  const known = new Map<string, Deal>();
  const deal = (shares: readonly number[]): Deal => {
    const key = shares.join();
    const held = known.get(key) ?? { shares: [...shares], worth: worth(shares) };
    known.set(key, held);
    return held;
  };
  if (dealCount(total - least * start.length, start.length) <= few) {
    return allDeals(total, start.length, least)
      .map(deal)
      .reduce((a, b) => (isBetter(b.worth, a.worth) ? b : a));
  }
  let best = deal(start);
  for (let moves = 0; moves < 4 * total; moves++) {
    const next = firstBetter(best, least, deal);
    if (!next) break;
    best = next;
  }
  return best;
}

/** Shares in proportion to weights, at least `least` each. */
export function proportional(total: number, weights: readonly number[], least: number): number[] {
  const sum = weights.reduce((a, b) => a + Math.max(b, 0), 0);
  const free = total - least * weights.length;
  const exact = weights.map((weight) => (sum > 0 ? (free * Math.max(weight, 0)) / sum : free / weights.length));
  const shares = exact.map(Math.floor);
  const byRest = exact.map((value, i) => [value - shares[i]!, i] as const).sort((a, b) => b[0] - a[0]);
  for (let i = 0; shares.reduce((a, b) => a + b, 0) < free; i++) shares[byRest[i % byRest.length]![1]]!++;
  return shares.map((share) => share + least);
}

/** Some layers from the poorest to another, many at once before few. */
function firstBetter(from: Deal, least: number, deal: (shares: readonly number[]) => Deal): Deal | undefined {
  const { shares, worth } = from;
  const order = shares.map((_, i) => i).sort((a, b) => worth.rooms[a]! - worth.rooms[b]!);
  for (const giver of order) {
    for (const size of [8, 4, 2, 1]) {
      if (shares[giver]! - size < least) continue;
      const takers = order.filter((i) => i !== giver).reverse();
      const tried = takers.map((taker) => deal(moved(shares, giver, taker, size)));
      const best = tried.reduce((a, b) => (isBetter(b.worth, a.worth) ? b : a));
      if (isBetter(best.worth, worth)) return best;
    }
    // Only the poorest can gain by giving, unless all are equally poor.
    if (worth.rooms[giver]! > worth.rooms[order[0]!]!) break;
  }
  return undefined;
}

function moved(shares: readonly number[], giver: number, taker: number, size: number): number[] {
  return shares.map((share, i) => (i === giver ? share - size : i === taker ? share + size : share));
}

/** By score; then the poorest decides, then the next. */
function isBetter(a: Worth, b: Worth): boolean {
  if (a.score !== b.score) return a.score > b.score;
  const [x, y] = [a, b].map(({ rooms }) => [...rooms].sort((p, q) => p - q)) as [number[], number[]];
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return x[i]! > y[i]!;
  return false;
}

/** Ways to deal `free` things to so many takers. */
function dealCount(free: number, takers: number): number {
  let count = 1;
  for (let i = 1; i < takers; i++) count = (count * (free + i)) / i;
  return count;
}

export function allDeals(total: number, takers: number, least: number): number[][] {
  if (takers === 1) return total >= least ? [[total]] : [];
  const deals: number[][] = [];
  for (let first = least; first <= total - least * (takers - 1); first++)
    for (const rest of allDeals(total - first, takers - 1, least)) deals.push([first, ...rest]);
  return deals;
}
