// `--sort` and `--top`: rows by one or more columns, better first unless asked otherwise; what has no value comes last either way.
import { type Cell, type Cells, placeOf } from './cells.ts';
import { columnNamed } from './names.ts';

export type RowOrder = (a: Cells, b: Cells) => number;

/** What stands first where nobody says: what fits, then the cheapest tokens, the fewest GPUs, the fastest. */
export const usualOrder = 'fits,cost,gpus,-decode,-tokens,id';

/** "cost,-tokens": ascending, or descending with a minus; a column whose better way is more (fits, tokens) begins with the most. */
export function parseOrder(text: string, option = '--sort'): RowOrder {
  const keys = text.split(',').map((word) => {
    const name = word.trim();
    const bare = name.replace(/^[-+]/, '');
    const column = columnNamed(bare, option);
    const down = name.startsWith('-') || (!name.startsWith('+') && column.better === 'more');
    return { at: placeOf(column.key), sign: down ? -1 : 1 };
  });
  return (a, b) => {
    for (const { at, sign } of keys) {
      const order = compareCells(a[at]!, b[at]!, sign);
      if (order !== 0) return order;
    }
    return 0;
  };
}

function compareCells(a: Cell, b: Cell, sign: number): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  if (typeof a === 'string' || typeof b === 'string') return sign * (String(a) < String(b) ? -1 : 1);
  return sign * (Number(a) - Number(b));
}

/** Keeps the first `most` rows by an order without keeping all of them. */
export class TopRows {
  private kept: Cells[] = [];

  constructor(
    private readonly order: RowOrder,
    private readonly most: number,
  ) {}

  add(cells: Cells): void {
    this.kept.push(cells);
    if (this.kept.length > 2 * this.most + 4096) this.cut();
  }

  rows(): Cells[] {
    this.cut();
    return this.kept;
  }

  private cut(): void {
    this.kept.sort(this.order);
    if (this.kept.length > this.most) this.kept.length = this.most;
  }
}
