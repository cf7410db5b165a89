// A series over time as one line of characters, each column the time-weighted mean of its stretch.

const levels = '▁▂▃▄▅▆▇█';

/** A point of any timeline. */
interface Timed {
  t: number;
}

/**
 * Values hold from their point to the next. `most` is the value of the tallest glyph; anything above zero shows at least the
 * lowest one, zero is a space.
 */
export function sparkline<Point extends Timed>(
  points: readonly Point[],
  value: (point: Point) => number,
  most: number,
  width: number,
): string {
  return resample(points, value, width)
    .map((mean) => {
      if (mean <= 0 || most <= 0) return ' ';
      return levels[Math.min(levels.length - 1, Math.floor((mean / most) * levels.length))]!;
    })
    .join('');
}

/** Means over `width` equal stretches between the first and the last point. */
export function resample<Point extends Timed>(
  points: readonly Point[],
  value: (point: Point) => number,
  width: number,
): number[] {
  const first = points[0];
  const last = points.at(-1);
  if (!first || !last || last.t <= first.t) return [];
  const step = (last.t - first.t) / width;
  const sums = new Array<number>(width).fill(0);
  for (let i = 0; i + 1 < points.length; i++) {
    const from = points[i]!.t;
    const to = points[i + 1]!.t;
    const held = value(points[i]!);
    for (let column = columnOf(from); column < width; column++) {
      const start = first.t + column * step;
      if (start >= to) break;
      const overlap = Math.min(to, start + step) - Math.max(from, start);
      if (overlap > 0) sums[column]! += held * overlap;
    }
  }
  return sums.map((sum) => sum / step);

  function columnOf(t: number): number {
    return Math.max(0, Math.min(width - 1, Math.floor((t - first!.t) / step)));
  }
}
