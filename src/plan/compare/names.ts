// Which column a word of --sort, --filter, --pareto or --group-by means: its key, its title, or a shorter name, in any case.
import { inputError } from '../../diagnostics.ts';
import { type Column, columns } from './columns.ts';

const byName = new Map<string, Column>();
for (const one of columns) {
  for (const name of [one.key, ...one.names, one.title.replaceAll(' ', '-')])
    if (!byName.has(name.toLowerCase())) byName.set(name.toLowerCase(), one);
}

/** Throws InputError VRAM701 with the names there are. */
export function columnNamed(name: string, option: string): Column {
  const found = byName.get(name.trim().toLowerCase());
  if (found) return found;
  throw inputError(
    'VRAM701',
    `there is no column ${JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}...` : name)}`,
    {
      hint: `columns: ${columns.map(({ key, names }) => names[0] ?? key).join(', ')}`,
      path: option,
    },
  );
}

/** The same without an error: undefined where the word is none. */
export function columnCalled(name: string): Column | undefined {
  return byName.get(name.toLowerCase());
}
