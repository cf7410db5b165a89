// llama-server's options on our command line: its short forms of several letters (-ngl, -ctk) are put into long ones before commander
// sees them, which would take them for combined letters; values are read by the table of spec/llama-options.ts.
import type { Command } from 'commander';
import { type LlamaOptionEntry, type LlamaOptions, llamaOptionTable } from '../spec/llama-options.ts';
import { collect } from './engine-arguments.ts';

const group = 'llama.cpp and Ollama (as in llama-server, default of that build):';
const longOf = new Map(
  llamaOptionTable.flatMap(({ short = [], long }) => short.map((name) => [name, long.at(-1)!] as const)),
);

/** The same words with -ngl as --n-gpu-layers and so on. */
export function withLongNames(argv: readonly string[]): string[] {
  return argv.map((word) => longOf.get(word) ?? word);
}

export function addLlamaOptions(command: Command): void {
  for (const entry of llamaOptionTable) {
    for (const [i, name] of entry.long.entries()) addOption(command, entry, name, i === entry.long.length - 1);
  }
}

function addOption(command: Command, entry: LlamaOptionEntry, name: string, last: boolean): void {
  const value = entry.value ? ` ${entry.value}` : '';
  const shorts = last && entry.short ? `${entry.short.join(', ')}: ` : '';
  const option = command.createOption(`${name}${value}`, `${shorts}${entry.description}`).helpGroup(group);
  if (!last) option.hideHelp();
  if (entry.key === 'overrideTensor') option.argParser(collect);
  command.addOption(option);
}

/** What was given of them, by the table. */
export function readLlamaOptions(command: Command): LlamaOptions {
  const raw = command.opts<Record<string, unknown>>();
  const given: Record<string, unknown> = {};
  for (const entry of llamaOptionTable) {
    for (const name of entry.long) {
      const { attribute, wanted } = attributeOf(name);
      if (command.getOptionValueSource(attribute) !== 'cli') continue;
      const value = raw[attribute];
      // --no-mmproj leaves false where --mmproj leaves its value.
      if (entry.value !== undefined ? value === false : wanted !== undefined && value !== wanted) continue;
      for (const text of Array.isArray(value) ? value : [value]) {
        const word = text === true || text === false ? (entry.bare ?? '') : String(text);
        const read = entry.read(word, name, given[entry.key]);
        if (read !== undefined) given[entry.key] = read;
      }
    }
  }
  return given as LlamaOptions;
}

/** commander keeps --no-kv-offload as kvOffload = false. */
function attributeOf(name: string): { attribute: string; wanted?: boolean } {
  const negative = name.startsWith('--no-');
  const attribute = name.slice(negative ? 5 : 2).replace(/-([a-z0-9])/g, (_, c: string) => c.toUpperCase());
  const positive = llamaOptionTable.some(({ long }) => long.includes(name.replace('--no-', '--')));
  if (negative) return { attribute, wanted: false };
  return positive && llamaOptionTable.some(({ long }) => long.includes(`--no-${name.slice(2)}`))
    ? { attribute, wanted: true }
    : { attribute };
}
