// `--diff`: what every row has more or less than the first one, or than the row of the same name in a baseline file. Rows of a baseline
// answer to their id; where only the engine's version differs, to the id without it.
import type { Cell, Cells } from './cells.ts';
import { cellOf } from './cells.ts';
import { columns } from './columns.ts';

export interface ColumnChange {
  column: string;
  before: Cell;
  after: Cell;
  /** after - before; null where they are no numbers. */
  delta: number | null;
  /** delta / before. */
  relative: number | null;
}

export interface RowDiff {
  id: string;
  /** Id of the row it is compared with; null: the baseline has none. */
  against: string | null;
  changes: ColumnChange[];
  /** It fitted before and does not now. */
  broken: boolean;
}

/** Values of a baseline row by column key. */
export type BaselineRow = ReadonlyMap<string, Cell>;

export function baselineOf(cells: Cells): BaselineRow {
  return new Map(columns.map(({ key }, at) => [key, cells[at]!]));
}

export class Baseline {
  private readonly byId = new Map<string, BaselineRow>();
  private readonly byPlace = new Map<string, BaselineRow>();

  constructor(rows: readonly BaselineRow[]) {
    for (const row of rows) {
      const id = String(row.get('id'));
      this.byId.set(id, row);
      this.byPlace.set(withoutVersion(id), row);
    }
  }

  diff(cells: Cells): RowDiff {
    const id = String(cellOf(cells, 'id'));
    const row = this.byId.get(id) ?? this.byPlace.get(withoutVersion(id));
    return diffOf(cells, row);
  }
}

export function diffOf(cells: Cells, before: BaselineRow | undefined): RowDiff {
  const id = String(cellOf(cells, 'id'));
  if (!before) return { id, against: null, changes: [], broken: false };
  const changes = columns.flatMap(({ key }, at): ColumnChange[] => {
    const old = before.get(key);
    const now = cells[at]!;
    if (key === 'id' || old === undefined || old === now) return [];
    return [{ column: key, before: old, after: now, ...differenceOf(old, now) }];
  });
  return {
    id,
    against: String(before.get('id')),
    changes,
    broken: before.get('fits') === true && cellOf(cells, 'fits') !== true,
  };
}

/** What gets worse by more than this share: memory taken, room for tokens. Estimates and prices do not count. */
export function worseThan({ changes, broken }: RowDiff, share: number): boolean {
  if (broken) return true;
  return changes.some(({ column: key, relative }) => {
    const column = columns.find((one) => one.key === key)!;
    if (relative === null || column.estimate || !/^(weights|memory|kvCache|workload)\./.test(key)) return false;
    if (column.better === null) return false;
    return (column.better === 'less' ? relative : -relative) > share;
  });
}

function differenceOf(before: Cell, after: Cell): Pick<ColumnChange, 'delta' | 'relative'> {
  if (typeof before !== 'number' || typeof after !== 'number') return { delta: null, relative: null };
  const delta = after - before;
  return { delta, relative: before === 0 ? null : delta / before };
}

/** model/scheme/kv/vllm@0.33.0/... without the version. */
function withoutVersion(id: string): string {
  return id.replace(/@[^/]*/, '');
}
