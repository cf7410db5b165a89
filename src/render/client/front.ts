// The Pareto front of two columns: the rows that no other row beats in one of them without losing in the other. A row takes part
// when it fits and has both figures; equal rows stand on the front together.
import type { PageColumn, PageData } from './data.ts';

/** Rows on the front, best x first; null where a column has no better direction. */
export function frontOf(data: PageData, rows: readonly number[], x: PageColumn, y: PageColumn): number[] | null {
  if (x.better === null || y.better === null) return null;
  const costX = costOf(x);
  const costY = costOf(y);
  const points = rows
    .filter(
      (row) => data.states[row] === 'fits' && typeof x.values[row] === 'number' && typeof y.values[row] === 'number',
    )
    .sort((a, b) => costX(a) - costX(b) || costY(a) - costY(b));
  const front: number[] = [];
  let best = Number.POSITIVE_INFINITY;
  let at = Number.NaN;
  for (const row of points) {
    const cost = costY(row);
    if (cost < best || (cost === best && costX(row) === at)) {
      front.push(row);
      best = cost;
      at = costX(row);
    }
  }
  return front;
}

/** Less is better. */
function costOf({ better, values }: PageColumn): (row: number) => number {
  const sign = better === 'less' ? 1 : -1;
  return (row) => sign * (values[row] as number);
}
