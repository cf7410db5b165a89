// Which flags llama-server and llama-cli have in a build and how each is spelled there (presets/engines/llamacpp-flags.yaml, read
// from common/arg.cpp). Generated lines are checked against it and existing lines are read with it; what a flag does to memory it
// does not know.
import { type BuildNumber, buildNumber } from './builds.ts';

export type LlamaProgram = 'llama-server' | 'llama-cli';

/** How a flag stands in a build. */
interface FlagState {
  /** Spellings that switch on or take the value. */
  names?: readonly string[];
  /** Spellings that switch off. */
  negated?: readonly string[];
  /** Absent: a switch. */
  value?: 'integer' | 'text' | 'two texts';
  choices?: readonly string[];
  env?: string;
  envOff?: string;
  default?: string;
  /** The one program that has it. */
  only?: LlamaProgram;
}

export interface LlamaFlagEntry {
  flag: string;
  /** Last read build that has it. */
  until?: string;
  /** What replaced it. */
  use?: string;
  /** What changed from a read build on; null takes a property away. */
  states: readonly ({ from: string } & { [Key in keyof FlagState]?: FlagState[Key] | null })[];
}

export interface LlamaFlagTable {
  builds: readonly string[];
  flags: readonly LlamaFlagEntry[];
}

export interface LlamaFlag extends FlagState {
  flag: string;
}

/** A spelling of a build: the flag, and whether this spelling switches it off. */
export interface LlamaSpelling {
  flag: LlamaFlag;
  negated: boolean;
}

export type LlamaFlagIndex = ReadonlyMap<string, LlamaSpelling>;

/** Every spelling that the program takes in a build. A build between two read ones stands as the earlier of them. */
export function llamaFlagIndex(table: LlamaFlagTable, build: BuildNumber, program: LlamaProgram): LlamaFlagIndex {
  const index = new Map<string, LlamaSpelling>();
  const read = readBuildAt(table, build);
  for (const entry of table.flags) {
    const flag = flagInBuild(entry, read);
    if (!flag || (flag.only !== undefined && flag.only !== program)) continue;
    for (const name of flag.names ?? []) index.set(name, { flag, negated: false });
    for (const name of flag.negated ?? []) index.set(name, { flag, negated: true });
  }
  return index;
}

/**
 * The same for reading: between two read builds a flag that only the later one has may already be there. The spellings that the
 * earlier one has stay as they were.
 */
export function lenientFlagIndex(table: LlamaFlagTable, build: BuildNumber, program: LlamaProgram): LlamaFlagIndex {
  const index = llamaFlagIndex(table, build, program);
  const later = table.builds.map(numberOf).find((read) => read > build);
  if (later === undefined || isRead(table, build)) return index;
  return new Map([...llamaFlagIndex(table, later, program), ...index]);
}

/** Was this very build read? */
export function isRead({ builds }: LlamaFlagTable, build: BuildNumber): boolean {
  return builds.some((read) => numberOf(read) === build);
}

/** The entry that has this spelling in any build. */
export function findLlamaFlag(table: LlamaFlagTable, name: string): LlamaFlagEntry | undefined {
  const has = ({ states }: LlamaFlagEntry): boolean =>
    states.some(({ names, negated }) => names?.includes(name) || negated?.includes(name));
  return table.flags.find(({ flag }) => flag === name) ?? table.flags.find(has);
}

function flagInBuild({ flag, until, states }: LlamaFlagEntry, build: BuildNumber): LlamaFlag | undefined {
  if (until !== undefined && numberOf(until) < build) return undefined;
  const past = states.filter(({ from }) => numberOf(from) <= build);
  if (past.length === 0) return undefined;
  const merged: Record<string, unknown> = {};
  for (const { from: _, ...state } of past) {
    for (const [key, value] of Object.entries(state)) {
      if (value === null) delete merged[key];
      else merged[key] = value;
    }
  }
  return { ...(merged as FlagState), flag };
}

function readBuildAt({ builds }: LlamaFlagTable, build: BuildNumber): BuildNumber {
  const past = builds.map(numberOf).filter((read) => read <= build);
  return past.at(-1) ?? numberOf(builds[0]!);
}

function numberOf(build: string): BuildNumber {
  return buildNumber(build) ?? 0;
}
