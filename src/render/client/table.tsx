// The table: one page of the rows at a time, so that ten thousand stay quick; headings are buttons that sort. On paper it has all
// rows, up to a limit.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { PageColumn, PageData } from './data.ts';
import { cellText, columnNotes, thousands } from './figure.ts';
import type { Sorting } from './view.ts';

const pageSizes = [50, 100, 250, 1000] as const;
const mostPrinted = 1000;
/** Names up to this length are not broken at their hyphens. */
const mostUnbroken = 32;

interface TableProps {
  data: PageData;
  /** Rows in the order shown. */
  rows: readonly number[];
  columns: readonly PageColumn[];
  sorting: Sorting | null;
  setSorting: (sorting: Sorting | null) => void;
  front: readonly number[];
  marked: number | null;
  mark: (row: number) => void;
  printing: boolean;
}

export function Table(props: TableProps) {
  const { data, rows, columns, marked, mark, printing } = props;
  const [size, setSize] = useState<number>(100);
  const [wished, setPage] = useState(0);
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const page = Math.min(wished, pages - 1);
  const seen = printing ? rows.slice(0, mostPrinted) : rows.slice(page * size, (page + 1) * size);
  const front = new Set(props.front);
  const region = useRef<HTMLElement>(null);

  useEffect(() => setPage(0), [props.sorting]);
  useEffect(() => {
    const at = marked === null ? -1 : rows.indexOf(marked);
    if (at >= 0) setPage(Math.floor(at / size));
  }, [marked, size]);
  // The table alone scrolls to the marked row; the page stays where the eye is.
  useLayoutEffect(() => {
    const row = region.current!.querySelector<HTMLElement>('tr.on');
    if (row) region.current!.scrollTop = row.offsetTop - region.current!.clientHeight / 3;
  }, [marked, page]);

  return (
    <>
      {/* A region that scrolls must be reachable by keyboard. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <section class="table" ref={region} tabIndex={0} aria-label="Deployments">
        <table aria-rowcount={rows.length + 1}>
          <thead>
            <tr>
              <th class="pick" scope="col" aria-label="Mark" />
              {columns.map((column) => (
                <Heading key={column.key} column={column} sorting={props.sorting} setSorting={props.setSorting} />
              ))}
            </tr>
          </thead>
          <tbody>
            {seen.map((row) => (
              <tr
                key={row}
                data-row={row}
                class={[row === marked && 'on', front.has(row) && 'front', data.states[row] === 'no' && 'no']
                  .filter(Boolean)
                  .join(' ')}
                aria-current={row === marked ? 'true' : undefined}
              >
                <td class="pick">
                  <button
                    type="button"
                    aria-label={`Mark ${data.names[row]}${front.has(row) ? ', on the front' : ''}`}
                    aria-pressed={row === marked}
                    onClick={() => mark(row)}
                  >
                    {front.has(row) ? '◆' : '◇'}
                  </button>
                </td>
                {columns.map((column) => (
                  <Cell key={column.key} {...{ data, column, row }} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {rows.length === 0 && <p class="dim">No deployment passes the filters.</p>}
      </section>
      {printing && rows.length > mostPrinted && (
        <p>{thousands(rows.length - mostPrinted)} more rows are not printed.</p>
      )}
      <Pages {...{ page, pages, setPage, size, setSize }} />
    </>
  );
}

interface HeadingProps {
  column: PageColumn;
  sorting: Sorting | null;
  setSorting: (sorting: Sorting | null) => void;
}

/** The better way first, then the other, then as given. */
function Heading({ column, sorting, setSorting }: HeadingProps) {
  const { key, title, description, better, kind } = column;
  const now = sorting?.key === key ? sorting : null;
  const first = better === 'more' || (kind === 'number' && better === null);
  const next =
    now === null ? { key, descending: first } : now.descending === first ? { key, descending: !first } : null;
  const notes = columnNotes(column);
  return (
    <th
      scope="col"
      data-key={key}
      class={kind === 'number' ? 'n' : ''}
      aria-sort={now === null ? 'none' : now.descending ? 'descending' : 'ascending'}
    >
      <button type="button" title={description} onClick={() => setSorting(next)}>
        {title}
        {now && (
          <span class="arrow" aria-hidden="true">
            {now.descending ? ' ▼' : ' ▲'}
          </span>
        )}
        {notes && <small>{notes}</small>}
      </button>
    </th>
  );
}

function Cell({ data, column, row }: { data: PageData; column: PageColumn; row: number }) {
  const value = column.values[row] ?? null;
  const text = cellText(column, row);
  const isFits = column.key === 'fits';
  const kinds = [
    column.kind === 'number' ? 'n' : text.length <= mostUnbroken && 'short',
    column.estimate && value !== null && 'est',
    isFits && (value === true ? 'good' : 'bad'),
  ];
  return (
    <td class={kinds.filter(Boolean).join(' ')} title={isFits ? (data.reasons[row] ?? undefined) : undefined}>
      {text}
    </td>
  );
}

interface PagesProps {
  page: number;
  pages: number;
  setPage: (page: number) => void;
  size: number;
  setSize: (size: number) => void;
}

function Pages({ page, pages, setPage, size, setSize }: PagesProps) {
  return (
    <nav class="bar pages" aria-label="Pages of the table">
      <button type="button" disabled={page === 0} onClick={() => setPage(page - 1)}>
        Previous
      </button>
      <span>
        Page {thousands(page + 1)} of {thousands(pages)}
      </span>
      <button type="button" disabled={page >= pages - 1} onClick={() => setPage(page + 1)}>
        Next
      </button>
      <label class="of">
        Rows a page
        <select value={size} onChange={(event) => setSize(Number(event.currentTarget.value))}>
          {pageSizes.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </label>
    </nav>
  );
}
