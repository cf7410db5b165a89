// What is expected of policies, as inequalities over means of the trials: directions that the authors of kvcached, MuxServe and the mapping
// layer state. How much is "far" or "slightly" is our choice, the same for all loads; it is not moved to make a case come out.
import type { ByVariant, Figures } from './runs.ts';

/** Means over the trials, by variant. */
export type Means = ByVariant;
export type Holds = (of: Means) => boolean;

/** Sequences preempted, and times that the head of a queue was refused. */
const waits = ({ preemptions, refusals }: Figures): number => preemptions + refusals;

/** From here on "far better"; kvcached reports 2 to 28 times in TTFT. */
const clearly = 2;

export function farBetter(from: string, to: string): Holds {
  return (of) => of[from]!.ttftP99 >= clearly * of[to]!.ttftP99 && waits(of[from]!) >= clearly * waits(of[to]!);
}

/** Not better by more than a tenth, and not worse by more than half. */
export function noGain(from: string, to: string): Holds {
  return (of) => {
    const ratio = of[to]!.ttftP99 / of[from]!.ttftP99;
    return ratio >= 0.9 && ratio <= 1.5;
  };
}

/** Requests take longer by the share of the computing that is mapping, give or take one percent. */
export function sameWithinMapCost(from: string, to: string): Holds {
  return (of) => Math.abs(of[to]!.e2eMean / of[from]!.e2eMean - 1) <= mapShare(of[to]!) + 0.01;
}

export function mapShare({ mapSeconds, busySeconds }: Figures): number {
  return busySeconds > 0 ? mapSeconds / busySeconds : 0;
}

export function isBetween(
  of: Means,
  name: string,
  ends: readonly [string, string],
  figure: (one: Figures) => number,
): boolean {
  const [a, b] = ends.map((end) => figure(of[end]!)) as [number, number];
  const value = figure(of[name]!);
  return value >= Math.min(a, b) && value <= Math.max(a, b);
}

export function gain(of: Means, from: string, to: string): number {
  return of[from]!.ttftP99 / of[to]!.ttftP99;
}
