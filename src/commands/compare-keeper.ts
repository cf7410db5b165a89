// Which rows of a comparison stay while they come: all of them, the first of an order (of each group), or the Pareto front.
import { type Cells, cellOf } from '../plan/compare/cells.ts';
import type { Column } from '../plan/compare/columns.ts';
import { type RowOrder, TopRows } from '../plan/compare/order.ts';
import type { CompareResult } from '../plan/compare/output.ts';
import { ParetoFront } from '../plan/compare/pareto.ts';
import type { CompareArguments } from './compare-arguments.ts';

export class Keeper {
  private readonly tops = new Map<unknown, TopRows>();
  private readonly counts = new Map<unknown, number>();
  private readonly front: ParetoFront | undefined;
  private readonly wholePage: boolean;
  seen = 0;

  constructor(
    private readonly args: Pick<CompareArguments, 'format' | 'top'>,
    private readonly order: RowOrder,
    by: readonly Column[] | undefined,
    private readonly group: Column | undefined,
  ) {
    this.front = by ? new ParetoFront(by) : undefined;
    // The page shows the front among all rows.
    this.wholePage = args.format === 'html';
  }

  add(cells: Cells): void {
    this.seen++;
    this.front?.add(cells);
    if (this.front && !this.wholePage) return;
    const value = this.group ? cellOf(cells, this.group.key) : null;
    if (cellOf(cells, 'fits') === true) this.counts.set(value, (this.counts.get(value) ?? 0) + 1);
    let top = this.tops.get(value);
    if (!top) {
      top = new TopRows(this.order, this.args.top ?? (this.group ? 3 : Number.POSITIVE_INFINITY));
      this.tops.set(value, top);
    }
    top.add(cells);
  }

  rows(): Cells[] {
    if (this.front && !this.wholePage) {
      const rows = [...this.front.rows()].sort(this.order);
      return this.args.top === undefined ? rows : rows.slice(0, this.args.top);
    }
    const lists = [...this.tops.values()].map((top) => top.rows());
    if (this.group) lists.sort((a, b) => this.order(a[0]!, b[0]!));
    return lists.flat();
  }

  frontOf(rows: readonly Cells[]): number[] {
    const front = new Set(this.front?.rows());
    return rows.flatMap((row, at) => (front.has(row) ? [at] : []));
  }

  groups(rows: readonly Cells[], group: Column): NonNullable<CompareResult['groups']> {
    const values = [...new Set(rows.map((row) => cellOf(row, group.key)))];
    return {
      column: group.key,
      values: values.map((value) => ({
        value,
        fitting: this.counts.get(value) ?? 0,
        rows: rows.flatMap((row, at) => (cellOf(row, group.key) === value ? [at] : [])),
      })),
    };
  }
}
