// Comparing and cutting token lists that are written as runs of consecutive ids (TokenRuns). The same list may be cut into runs in
// more than one way; all functions here treat such lists alike.
import type { TokenRuns } from '../types.ts';

/** A position in a token list: inside which run, and how far. */
export interface RunCursor {
  run: number;
  offset: number;
}

/** Tokens that a whole list and the next `limit` tokens of another have in common; the cursor moves behind them. */
export function matchRuns(list: TokenRuns, other: TokenRuns, cursor: RunCursor, limit: number): number {
  let matched = 0;
  let at = 0;
  let from = list[0]!;
  while (at < list.length && matched < limit && cursor.run < other.length) {
    const otherFrom = other[cursor.run]! + cursor.offset;
    if (from !== otherFrom) break;
    const length = Math.min(list[at + 1]! - from, other[cursor.run + 1]! - otherFrom, limit - matched);
    matched += length;
    from += length;
    if (from === list[at + 1]) {
      at += 2;
      from = list[at]!;
    }
    advance(other, cursor, length);
  }
  return matched;
}

/** The next `length` tokens, cut out; the cursor moves behind them. */
export function takeRuns(list: TokenRuns, cursor: RunCursor, length: number): number[] {
  const taken: number[] = [];
  let left = length;
  while (left > 0) {
    const from = list[cursor.run]! + cursor.offset;
    const part = Math.min(left, list[cursor.run + 1]! - from);
    if (taken.length > 0 && taken.at(-1) === from) taken[taken.length - 1] = from + part;
    else taken.push(from, from + part);
    advance(list, cursor, part);
    left -= part;
  }
  return taken;
}

/** Moves within a run, and on to the next one that is not empty. */
function advance(list: TokenRuns, cursor: RunCursor, tokens: number): void {
  cursor.offset += tokens;
  while (cursor.run < list.length && list[cursor.run]! + cursor.offset === list[cursor.run + 1]) {
    cursor.run += 2;
    cursor.offset = 0;
  }
}

/** A list without empty runs. */
export function withoutEmptyRuns(list: TokenRuns): number[] {
  const runs: number[] = [];
  for (let i = 0; i < list.length; i += 2) if (list[i + 1]! > list[i]!) runs.push(list[i]!, list[i + 1]!);
  return runs;
}
