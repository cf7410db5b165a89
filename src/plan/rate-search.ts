// The highest multiple of a load at which something still holds: doubling or halving finds the two sides, then bisection closes in.
// Every trial is a whole run, so the answer is the simulation's, and the same every time.

/** Whether it holds at this multiple. */
type RateTrialAt = (scale: number) => Promise<boolean>;

interface RateSearch {
  /** The answer is known to about this share of itself. */
  precision: number;
  /** Multiples tried at most, and one over them at least. */
  furthest: number;
  /** Asked between trials: the search is over. */
  stop?: () => boolean;
}

/** The highest multiple found that holds, and the lowest that does not; null where none of those tried does. */
export async function highestRate(
  holdsAt: RateTrialAt,
  { precision, furthest, stop = () => false }: RateSearch,
): Promise<{ holds: number | null; fails: number | null }> {
  const sides = await bracket(holdsAt, furthest, stop);
  if (stop() || sides.holds === null || sides.fails === null) return sides;
  let low = sides.holds;
  let high = sides.fails;
  while (high - low > precision * low) {
    // Three digits are more than the precision asks for, and read well.
    const middle = Number(Math.sqrt(low * high).toPrecision(3));
    if (middle <= low || middle >= high) break;
    if (await holdsAt(middle)) low = middle;
    else high = middle;
  }
  return { holds: low, fails: high };
}

async function bracket(
  holdsAt: RateTrialAt,
  furthest: number,
  stop: () => boolean,
): Promise<{ holds: number | null; fails: number | null }> {
  if (await holdsAt(1)) {
    for (let scale = 2; scale <= furthest; scale *= 2) {
      if (!(await holdsAt(scale))) return { holds: scale / 2, fails: scale };
      if (stop()) break;
    }
    return { holds: furthest, fails: null };
  }
  for (let scale = 0.5; scale >= 1 / furthest && !stop(); scale /= 2) {
    if (await holdsAt(scale)) return { holds: scale, fails: scale * 2 };
  }
  return { holds: null, fails: 1 / furthest };
}
