// Flags as the words of a command line: what the engine's parser sees, unquoted.
import type { FlagSuggestion } from './types.ts';

export function flagWords(flags: readonly FlagSuggestion[]): string[] {
  return flags.flatMap((flag) => wordsOf(flag));
}

/** One flag: its name, and its value or values. */
export function wordsOf({ flag, value, list }: FlagSuggestion): string[] {
  if (value === null) return [flag];
  return list ? [flag, ...value.split(' ')] : [flag, value];
}
