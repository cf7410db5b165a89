// Lines of the comparison of sharing policies that recur under several loads, and what a line and a case are.
import type { PoolSpec } from '../../../src/spec/pool.ts';
import { farBetter, type Holds, isBetween, type Means, mapShare, noGain, sameWithinMapCost } from './expect.ts';
import type { Extra, Figures, Variant } from './runs.ts';

/** One pool under some policies. */
interface Trial extends Extra {
  spec: PoolSpec;
  variants: readonly Variant[];
}

/** One line of the table: two variants under one load, or under two. */
export interface Line {
  name: string;
  from: string;
  to: string;
  expects: string;
  holds: Holds;
  /** Figures that the columns do not have. */
  also?: (of: Means) => string;
  /** What came out instead, or what it is due to. */
  note?: string;
}

export interface SharingCase {
  id: string;
  load: string;
  /** Pools by seed or sample; the names of the variants are unique among those of one. */
  trials: readonly (() => Promise<Trial[]>)[];
  lines: readonly Line[];
  /** The load whose policies are all shown side by side. */
  all?: string;
}

const expandNote =
  'It maps only after a sequence was preempted or refused, one page a step, and gives one back at every step at which nobody waits, so that soon somebody is preempted again; a higher ratio lets more of them wait. What it lacks is a reserve: see the line of the one that keeps empty pages ready.';

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

export function at(name: string, load: string): string {
  return load === '' ? name : `${name}, ${load}`;
}

export function same(name: string, load: string): Line {
  const [from, to] = [at('static', load), at('kvcached', load)];
  return {
    name,
    from,
    to,
    expects: 'equal within the map cost',
    holds: sameWithinMapCost(from, to),
    also: (of) =>
      `mean latency ${of[from]!.e2eMean.toFixed(2)} → ${of[to]!.e2eMean.toFixed(2)} s, mapping ${(100 * mapShare(of[to]!)).toFixed(1)} % of the time`,
  };
}

export function better(name: string): Line {
  return {
    name,
    from: 'static',
    to: 'kvcached',
    expects: 'far better: half or less',
    holds: farBetter('static', 'kvcached'),
  };
}

export function alike(name: string, load: string): Line {
  const [from, to] = [at('static', load), at('kvcached', load)];
  return { name, from, to, expects: 'no gain, slightly worse', holds: noGain(from, to) };
}

export function largerPages(from: string, to: string): Line {
  return {
    name: `peaks apart, ${to} instead of ${from === 'kvcached' ? 2 : 4}`,
    from,
    to,
    expects: 'fewer maps, more fragmentation',
    holds: (of) => of[to]!.maps < of[from]!.maps && of[to]!.idleBytes > of[from]!.idleBytes,
    also: (of) =>
      `${Math.round(of[from]!.maps).toLocaleString('en')} → ${Math.round(of[to]!.maps).toLocaleString('en')} page ids mapped, ${held(of[from]!, of[to]!)}`,
  };
}

export function between(name: string, what: string): Line {
  const ends = ['static', 'kvcached'] as const;
  return {
    name: `peaks apart, expand with ${what}`,
    from: 'static',
    to: name,
    expects: 'between static and kvcached',
    holds: (of) =>
      isBetween(of, name, ends, ({ ttftP99 }) => ttftP99) &&
      isBetween(of, name, ends, ({ preemptions }) => preemptions) &&
      isBetween(of, name, ends, ({ slo }) => slo),
    note: expandNote,
  };
}

export function held(from: Figures, to: Figures): string {
  return `${gib(from.idleBytes)} → ${gib(to.idleBytes)} GiB mapped, not used`;
}

export function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}
