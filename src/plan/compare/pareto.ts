// `--pareto cost,concurrency`: the rows that fit and that no other row beats, i.e. is at least as good in every column named and
// better in one. Rows of equal values all stay.
import { inputError } from '../../diagnostics.ts';
import { type Cells, cellOf, placeOf } from './cells.ts';
import type { Column } from './columns.ts';
import { columnNamed } from './names.ts';

export function parsePareto(text: string): Column[] {
  const option = '--pareto';
  const named = text.split(',').map((word) => columnNamed(word, option));
  const vague = named.find(({ better }) => better === null);
  if (vague) {
    throw inputError('VRAM703', `${vague.key} has no better way, so it makes no Pareto front`, {
      hint: 'e.g. --pareto cost,concurrency or --pareto price,decode,loss',
      path: option,
    });
  }
  if (named.length < 2)
    throw inputError('VRAM703', 'a Pareto front takes two columns or more', {
      hint: 'e.g. --pareto cost,concurrency',
      path: option,
    });
  return named;
}

/** The front of what was added so far; a row that is beaten is dropped at once. */
export class ParetoFront {
  private front: Cells[] = [];
  private readonly places: readonly { at: number; sign: number }[];

  constructor(by: readonly Column[]) {
    this.places = by.map(({ key, better }) => ({ at: placeOf(key), sign: better === 'less' ? 1 : -1 }));
  }

  add(cells: Cells): void {
    const complete = this.places.every(({ at }) => cells[at] !== null);
    if (!complete || cellOf(cells, 'fits') !== true) return;
    if (this.front.some((other) => this.beats(other, cells))) return;
    this.front = this.front.filter((other) => !this.beats(cells, other));
    this.front.push(cells);
  }

  rows(): Cells[] {
    return this.front;
  }

  private beats(a: Cells, b: Cells): boolean {
    let better = false;
    for (const { at, sign } of this.places) {
      const difference = sign * (Number(a[at]) - Number(b[at]));
      if (difference > 0) return false;
      if (difference < 0) better = true;
    }
    return better;
  }
}
