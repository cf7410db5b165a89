// A shipped policy or behaviour by its id, loosely written; what it is not called is answered with what it may be called.
import { inputError } from '../diagnostics.ts';
import { looseKey, nearestNames, printable } from './names.ts';

interface Wanted {
  /** Of the refusal. */
  code: string;
  /** What it is, one and several of them. */
  what: string;
  several: string;
  /** The command that lists them. */
  list: string;
  path: string | undefined;
  /** In place of the nearest name. */
  hint?: string;
}

export function namedPreset<Preset extends { id: string }>(
  presets: readonly Preset[],
  ref: string,
  { code, what, several, list, path, hint }: Wanted,
): Preset {
  const key = looseKey(ref);
  const preset = presets.find(({ id }) => looseKey(id) === key);
  if (preset) return preset;
  const ids = presets.map(({ id }) => id);
  const near = nearestNames(ref, ids, 1)[0];
  throw inputError(code, `there is no ${what} ${JSON.stringify(printable(ref))}`, {
    hint: hint ?? (near ? `did you mean ${near}? (${list})` : `${several}: ${ids.join(', ')}`),
    ...(path === undefined ? {} : { path }),
  });
}
