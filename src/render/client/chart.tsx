// The scatter chart with its axes, colours, key and the list of what stands on the front, which says in words what the line draws.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { PageColumn, PageData } from './data.ts';
import { cellText, columnName, thousands } from './figure.ts';
import { colourGroups, type Drawing, draw } from './scatter.ts';
import { useDark } from './use.ts';

type Axes = NonNullable<PageData['axes']>;

interface ChartProps {
  data: PageData;
  rows: readonly number[];
  axes: Axes;
  setAxes: (axes: Axes) => void;
  /** Best x first; null where a column has no better direction. */
  front: readonly number[] | null;
  marked: number | null;
  mark: (row: number) => void;
  printing: boolean;
}

export function Chart(props: ChartProps) {
  const { data, rows, axes, setAxes, front, marked, printing } = props;
  const [by, setBy] = useState(() => firstColour(data));
  const [log, setLog] = useState({ x: false, y: false });
  const [x, y] = [data.columns[axes.x]!, data.columns[axes.y]!];
  const dark = useDark() && !printing;
  const groups = useMemo(() => colourGroups(data, data.columns[by]), [data, by]);
  const place = useRef<HTMLDivElement>(null);
  const drawing = useRef<Drawing | null>(null);
  const mark = useRef(props.mark);
  mark.current = props.mark;

  useLayoutEffect(() => {
    const made = draw(place.current!, (row) => mark.current(row));
    drawing.current = made;
    return made.dispose;
  }, []);
  const drawn = useMemo(
    () => rows.filter((row) => onScale(x, row, log.x) && onScale(y, row, log.y)),
    [rows, x, y, log],
  );
  useLayoutEffect(() => {
    drawing.current!.show({ data, rows: drawn, x, y, log, front: front ?? [], marked, groups, dark, printing });
  }, [data, drawn, x, y, log, front, marked, groups, dark, printing]);

  const missing = rows.length - drawn.length;
  const axis = (way: 'x' | 'y', label: string) => (
    <span class="axis">
      <label class="of">
        {label}
        <select
          id={`axis-${way}`}
          value={axes[way]}
          onChange={(event) => setAxes({ ...axes, [way]: Number(event.currentTarget.value) })}
        >
          {options(data, ({ kind }) => kind === 'number')}
        </select>
      </label>
      <label>
        <input
          type="checkbox"
          checked={log[way]}
          onChange={(event) => setLog({ ...log, [way]: event.currentTarget.checked })}
        />
        log
      </label>
    </span>
  );
  return (
    <section aria-label="Chart">
      <div class="bar">
        {axis('x', 'Across')}
        {axis('y', 'Up')}
        <label class="of">
          Colour
          <select id="colour" value={by} onChange={(event) => setBy(Number(event.currentTarget.value))}>
            {options(data, ({ kind }) => kind === 'choice')}
          </select>
        </label>
      </div>
      <div class="chart" ref={place} role="img" aria-label={`${y.title} against ${x.title}, one point a deployment`} />
      <ul class="key">
        {groups.map(({ name, colour }) => (
          <li key={name}>
            <span class="swatch" style={{ backgroundColor: colour }} />
            {name === '' ? 'no value' : name}
          </li>
        ))}
        {rows.some((row) => data.states[row] !== 'fits') && <li class="dim">hollow: does not fit</li>}
        {missing > 0 && (
          <li class="dim">
            {thousands(missing)} of the rows shown {missing === 1 ? 'has' : 'have'} no point here
          </li>
        )}
      </ul>
      <Front {...{ data, x, y, front }} mark={props.mark} />
    </section>
  );
}

interface FrontProps {
  data: PageData;
  x: PageColumn;
  y: PageColumn;
  front: readonly number[] | null;
  mark: (row: number) => void;
}

function Front({ data, x, y, front, mark }: FrontProps) {
  if (front === null) {
    const which = x.better === null ? x : y;
    return <p class="dim">No Pareto front: of {which.title}, neither more nor less is better.</p>;
  }
  return (
    <details id="front">
      <summary>
        Pareto front, {x.better} {x.title} and {y.better} {y.title}: {thousands(front.length)}{' '}
        {front.length === 1 ? 'deployment' : 'deployments'}
      </summary>
      <ol class="front">
        {front.map((row) => (
          <li key={row} data-row={row}>
            <button type="button" onClick={() => mark(row)}>
              {data.names[row]}
            </button>
            : {columnName(x)} {cellText(x, row)}; {columnName(y)} {cellText(y, row)}
          </li>
        ))}
      </ol>
    </details>
  );
}

function options(data: PageData, wanted: (column: PageColumn) => boolean) {
  return data.columns.map((column, i) =>
    wanted(column) && column.values.some((value) => value !== null) ? (
      <option key={column.key} value={i}>
        {columnName(column)}
      </option>
    ) : null,
  );
}

function onScale(column: PageColumn, row: number, log: boolean): boolean {
  const value = column.values[row];
  return typeof value === 'number' && (!log || value > 0);
}

/** What varies first, of the things one chooses among. */
function firstColour(data: PageData): number {
  const at = ['model', 'gpu', 'engine', 'quantization', 'fits'].map((key) =>
    data.columns.findIndex((column) => column.key === key),
  );
  const varies = (i: number) =>
    i >= 0 && data.columns[i]!.kind === 'choice' && new Set(data.columns[i]!.values).size > 1;
  const any = data.columns.findIndex(({ kind }) => kind === 'choice');
  return at.find(varies) ?? any;
}
