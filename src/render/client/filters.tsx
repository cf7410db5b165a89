// The bar above the chart: words, switches, one filter per column, and which columns the table shows.
import type { PageColumn, PageData } from './data.ts';
import { columnName, valueText } from './figure.ts';
import { filterCount, readCondition, type Wish } from './view.ts';

interface FiltersProps {
  data: PageData;
  wish: Wish;
  setWish: (wish: Wish) => void;
  hidden: readonly string[];
  setHidden: (keys: readonly string[]) => void;
  frontOnly: boolean;
  setFrontOnly: (on: boolean) => void;
  /** Whether the chart's columns have a front. */
  hasFront: boolean;
  reset: () => void;
}

export function Filters(props: FiltersProps) {
  const { data, wish, setWish, hidden, setHidden } = props;
  const on = filterCount(wish);
  const toggle = (key: string) =>
    setHidden(hidden.includes(key) ? hidden.filter((other) => other !== key) : [...hidden, key]);
  return (
    <section aria-label="Filters">
      <div class="bar">
        <input
          type="search"
          id="words"
          aria-label="Words to look for in all columns"
          placeholder="Search all columns"
          value={wish.words}
          onInput={(event) => setWish({ ...wish, words: event.currentTarget.value })}
        />
        <Switch
          label="Fits only"
          id="fits-only"
          on={wish.fitsOnly}
          set={(fitsOnly) => setWish({ ...wish, fitsOnly })}
        />
        <Switch
          label="Front only"
          id="front-only"
          on={props.frontOnly}
          set={props.setFrontOnly}
          disabled={!props.hasFront}
        />
        <button type="button" onClick={props.reset}>
          Reset
        </button>
      </div>
      <details id="filters">
        <summary>Filters by column{on > 0 ? ` (${on} on)` : ''}</summary>
        <div class="panel">
          {data.columns.map((column) => (
            <ColumnFilter key={column.key} {...{ column, wish, setWish }} />
          ))}
        </div>
      </details>
      <details id="columns">
        <summary>Columns{hidden.length > 0 ? ` (${hidden.length} hidden)` : ''}</summary>
        <div class="panel">
          {data.columns.map((column) => (
            <label key={column.key} title={column.description}>
              <input type="checkbox" checked={!hidden.includes(column.key)} onChange={() => toggle(column.key)} />
              {columnName(column)}
            </label>
          ))}
        </div>
      </details>
    </section>
  );
}

interface SwitchProps {
  label: string;
  id: string;
  on: boolean;
  set: (on: boolean) => void;
  disabled?: boolean;
}

function Switch({ label, id, on, set, disabled = false }: SwitchProps) {
  return (
    <label>
      <input
        type="checkbox"
        id={id}
        checked={on}
        disabled={disabled}
        onChange={(event) => set(event.currentTarget.checked)}
      />
      {label}
    </label>
  );
}

const naturally = new Intl.Collator('en', { numeric: true }).compare;

interface ColumnFilterProps {
  column: PageColumn;
  wish: Wish;
  setWish: (wish: Wish) => void;
}

/** Nothing for a column that is the same in every row. */
function ColumnFilter({ column, wish, setWish }: ColumnFilterProps) {
  const { key, kind } = column;
  if (new Set(column.values).size < 2) return null;
  if (kind === 'choice') {
    const values = [...new Set(column.values.map((value) => valueText(column, value)))].sort(naturally);
    const chosen = wish.choices[key] ?? [];
    const toggle = (value: string) => {
      const next = chosen.includes(value) ? chosen.filter((other) => other !== value) : [...chosen, value];
      setWish({ ...wish, choices: { ...wish.choices, [key]: next } });
    };
    return (
      <fieldset data-key={key}>
        <legend title={column.description}>{column.title}</legend>
        <div class="choices">
          {values.map((value) => (
            <label key={value}>
              <input type="checkbox" checked={chosen.includes(value)} onChange={() => toggle(value)} />
              {value === '' ? <em>no value</em> : value}
            </label>
          ))}
        </div>
      </fieldset>
    );
  }
  const typed = wish.conditions[key] ?? '';
  const invalid = kind === 'number' && typed.trim() !== '' && !readCondition(column, typed.trim());
  return (
    <label class="of" data-key={key} title={column.description}>
      {columnName(column)}
      <input
        value={typed}
        placeholder={kind === 'number' ? '>= 4, or 2..8, or 1,2,4' : 'contains'}
        aria-invalid={invalid}
        onInput={(event) => setWish({ ...wish, conditions: { ...wish.conditions, [key]: event.currentTarget.value } })}
      />
    </label>
  );
}
