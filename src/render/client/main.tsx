// The page of a comparison: reads the data that the file carries and shows filters, chart and table over one state. What it shows are
// text nodes; no markup is ever made from data.
import { render } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Chart } from './chart.tsx';
import type { PageData } from './data.ts';
import { cellText, columnName, thousands } from './figure.ts';
import { Filters } from './filters.tsx';
import { frontOf } from './front.ts';
import { Table } from './table.tsx';
import { usePrinting } from './use.ts';
import { filterRows, noWish, type Sorting, sortRows } from './view.ts';

function Page({ data }: { data: PageData }) {
  const [wish, setWish] = useState(noWish);
  const [frontOnly, setFrontOnly] = useState(false);
  const [hidden, setHidden] = useState<readonly string[]>(() =>
    data.columns.filter(({ shown }) => !shown).map(({ key }) => key),
  );
  const [sorting, setSorting] = useState<Sorting | null>(null);
  const [axes, setAxes] = useState(data.axes);
  const [marked, setMarked] = useState<number | null>(null);
  const printing = usePrinting();

  const shown = useMemo(() => filterRows(data, wish), [data, wish]);
  const front = useMemo(
    () => axes && frontOf(data, shown, data.columns[axes.x]!, data.columns[axes.y]!),
    [data, shown, axes],
  );
  const rows = useMemo(
    () => sortRows(data, frontOnly && front ? sorted(front) : shown, sorting),
    [data, shown, front, frontOnly, sorting],
  );
  const mark = (row: number | null) => setMarked(row === marked ? null : row);

  return (
    <>
      <Filters
        {...{ data, wish, setWish, hidden, setHidden, frontOnly, setFrontOnly }}
        hasFront={front !== null}
        reset={() => {
          setWish(noWish);
          setFrontOnly(false);
          setSorting(null);
        }}
      />
      {axes && <Chart {...{ data, axes, setAxes, front, marked, mark, printing }} rows={shown} />}
      <p role="status" id="count">
        <strong>{thousands(rows.length)}</strong> of {thousands(data.names.length)} deployments
        {frontOnly && front && ', those on the front'}
      </p>
      {marked !== null && (
        <Marked data={data} row={marked} among={rows.includes(marked)} clear={() => setMarked(null)} />
      )}
      <Table
        {...{ data, rows, sorting, setSorting, marked, mark, printing }}
        columns={data.columns.filter(({ key }) => !hidden.includes(key))}
        front={front ?? []}
      />
    </>
  );
}

interface MarkedProps {
  data: PageData;
  row: number;
  /** Whether the table has the row. */
  among: boolean;
  clear: () => void;
}

function Marked({ data, row, among, clear }: MarkedProps) {
  const figures = data.columns
    .filter(({ kind, values }) => kind === 'number' && typeof values[row] === 'number')
    .map((column) => `${columnName(column)} ${cellText(column, row)}`);
  return (
    <section class="marked" aria-label="Marked deployment">
      <strong>{data.names[row]}</strong>
      {!among && <span class="dim"> (not among the rows shown)</span>}{' '}
      <button type="button" onClick={clear}>
        Unmark
      </button>
      {data.reasons[row] && <p class={data.states[row] === 'fits' ? 'dim' : 'bad'}>{data.reasons[row]}</p>}
      <p>{figures.join('; ')}</p>
    </section>
  );
}

/** In the order given: the front comes by its x. */
function sorted(rows: readonly number[]): number[] {
  return [...rows].sort((a, b) => a - b);
}

const data = JSON.parse(document.getElementById('data')!.textContent!) as PageData;
render(<Page data={data} />, document.getElementById('app')!);
