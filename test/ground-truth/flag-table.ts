// What vLLM's parser takes, release by release, read from the flag table on its own: the judge of what is generated shares no
// code with the generator.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Change {
  from: string;
  type?: string;
  aliases?: string[];
  choices?: string[];
  choicesAdded?: string[];
  choicesRemoved?: string[];
}

interface Row {
  flag: string;
  type: string;
  aliases?: string[];
  choices?: string[];
  since?: string;
  until?: string;
  changes?: Change[];
}

const { releases, flags } = parse(
  readFileSync(new URL('../../presets/engines/vllm-flags.yaml', import.meta.url), 'utf8'),
) as { releases: string[]; flags: Row[] };

/** What is wrong with these words as arguments of `vllm serve` of that release; positional words must be `model`. */
export function argumentProblems(words: readonly string[], release: string, model: string): string[] {
  const problems: string[] = [];
  const positional: string[] = [];
  for (let i = 0; i < words.length; ) {
    const name = words[i++]!;
    if (!name.startsWith('--')) {
      positional.push(name);
      continue;
    }
    const values: string[] = [];
    while (i < words.length && !words[i]!.startsWith('--')) values.push(words[i++]!);
    const problem = flagProblem(name, values, release);
    if (problem) problems.push(`${name} ${values.join(' ')} in ${release}: ${problem}`);
  }
  if (positional.join() !== model) problems.push(`serves ${positional.join()} instead of ${model}`);
  return problems;
}

function flagProblem(name: string, values: readonly string[], release: string): string | undefined {
  const at = releases.indexOf(release);
  const row = flags.find((candidate) => {
    const { aliases } = stateAt(candidate, at);
    return candidate.flag === name || aliases.includes(name);
  });
  if (!row) return 'no such flag';
  if (row.since && releases.indexOf(row.since) > at) return `since ${row.since}`;
  if (row.until && releases.indexOf(row.until) < at) return `until ${row.until}`;
  const { type, choices } = stateAt(row, at);
  if (type === 'bool') return values.length === 0 ? undefined : 'takes no value';
  if (values.length === 0 || (values.length > 1 && !/^(list|key=value)/.test(type))) return 'number of values';
  if (choices.length > 0 && !values.every((value) => choices.map(String).includes(value)))
    return `one of ${choices.join(', ')}`;
  return values.every((value) => typeTakes(type, value)) ? undefined : `is no ${type}`;
}

function typeTakes(type: string, value: string): boolean {
  if (type.includes('auto') && value === 'auto') return true;
  if (type.startsWith('int (suffixes)')) return /^\d+([kmgKMG]|\.\d+[kmg])?$/.test(value);
  if (/^(int|list of int)$/.test(type)) return /^\d+$/.test(value);
  if (/^(float|list of float)$/.test(type)) return /^\d+(\.\d+)?$/.test(value);
  if (type.startsWith('key=value')) return /^\w+=\d+(,\w+=\d+)*$/.test(value);
  if (/^(json|from_cli|from_json)/.test(type)) return typeof JSON.parse(value) === 'object';
  return /^(str|list of str)/.test(type);
}

function stateAt(row: Row, at: number): { type: string; aliases: string[]; choices: string[] } {
  if (!row.changes) return { type: row.type, aliases: row.aliases ?? [], choices: row.choices ?? [] };
  const state = { type: row.type, aliases: [] as string[], choices: [] as string[] };
  for (const change of row.changes) {
    if (releases.indexOf(change.from) > Math.max(at, 0)) break;
    state.type = change.type ?? state.type;
    state.aliases = change.aliases ?? state.aliases;
    state.choices = (change.choices ?? [...state.choices, ...(change.choicesAdded ?? [])]).filter(
      (choice) => !change.choicesRemoved?.includes(choice),
    );
  }
  const lists = row.changes.some(({ choices, choicesAdded }) => choices !== undefined || choicesAdded !== undefined);
  const aliased = row.changes.some(({ aliases }) => aliases !== undefined);
  return {
    type: state.type,
    aliases: aliased ? state.aliases : (row.aliases ?? []),
    choices: lists ? state.choices : (row.choices ?? []),
  };
}
