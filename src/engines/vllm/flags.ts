// Which flags `vllm serve` has in a release, and which values it takes (presets/engines/vllm-flags.yaml). Generated commands
// are checked against it and --from-command reads with it; it knows nothing of what a flag does to memory.
import { inRange, releaseIndex } from './releases.ts';

export interface FlagChange {
  from: string;
  type?: string;
  aliases?: string[];
  choices?: string[];
  choicesAdded?: string[];
  choicesRemoved?: string[];
}

export interface FlagEntry {
  flag: string;
  aliases?: string[];
  type: string;
  choices?: string[];
  since?: string;
  until?: string;
  deprecatedSince?: string;
  serveOnly?: boolean;
  use?: string;
  changes?: FlagChange[];
}

/** A flag as it stands in one release. */
export interface FlagInRelease {
  flag: string;
  aliases: readonly string[];
  type: string;
  choices?: readonly string[];
  use?: string;
}

function flagInRelease(entry: FlagEntry, release: string): FlagInRelease | undefined {
  if (!inRange(release, entry.since, entry.until)) return undefined;
  const at = releaseIndex(release);
  const state: FlagInRelease = {
    flag: entry.flag,
    aliases: entry.aliases ?? [],
    type: entry.type,
    choices: entry.choices?.map(String),
  };
  const [first, ...later] = entry.changes ?? [];
  if (first) {
    const past = later.filter((change) => releaseIndex(change.from) <= at);
    state.type = lastOf([first, ...past], 'type') ?? entry.type;
    if ([first, ...later].some((change) => change.aliases)) state.aliases = lastOf([first, ...past], 'aliases') ?? [];
    if (first.choices || later.some((change) => change.choices || change.choicesAdded))
      state.choices = choicesAfter([first, ...past]);
  }
  return state;
}

function lastOf<Key extends 'type' | 'aliases'>(changes: readonly FlagChange[], key: Key): FlagChange[Key] {
  for (let i = changes.length - 1; i >= 0; i--) if (changes[i]![key] !== undefined) return changes[i]![key];
  return undefined;
}

/** An empty list of choices says that any value is taken from then on. */
function choicesAfter(changes: readonly FlagChange[]): string[] | undefined {
  let choices: string[] | undefined;
  for (const change of changes) {
    if (change.choices) choices = [...change.choices];
    if (change.choicesAdded) choices = [...(choices ?? []), ...change.choicesAdded];
    if (change.choicesRemoved) choices = choices?.filter((choice) => !change.choicesRemoved?.includes(choice));
  }
  return choices && choices.length > 0 ? choices.map(String) : undefined;
}

/** Name or alias (also the --no- form of a bool) -> flag, for reading a command line of that release. */
export function flagIndex(entries: readonly FlagEntry[], release: string): Map<string, FlagInRelease> {
  const index = new Map<string, FlagInRelease>();
  for (const entry of entries) {
    const flag = flagInRelease(entry, release);
    if (!flag) continue;
    for (const name of [flag.flag, ...flag.aliases]) if (!index.has(name)) index.set(name, flag);
  }
  return index;
}

/** Flags of other releases, to tell "gone since" and "not yet" from "unknown". */
export function findFlag(entries: readonly FlagEntry[], name: string): FlagEntry | undefined {
  return entries.find((entry) => entry.flag === name || entry.aliases?.includes(name));
}
