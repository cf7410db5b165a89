// What the command lines of all planning commands have in common: the engine's options by the table of spec/engine-options.ts, how
// they are declared to commander and read back, and the options that name what is planned.
import type { Command } from 'commander';
import { parseCount } from '../spec/count.ts';
import { type EngineOptionEntry, engineOptionTable, negatable, takesValue } from '../spec/engine-options.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { PlanArguments } from './plan-request.ts';

/** Options that a command declares and reads itself. */
type OwnOptions = ReadonlySet<keyof EngineOptions>;
const noOwn: OwnOptions = new Set();

export function addEngineOptions(command: Command, own: OwnOptions = noOwn): void {
  for (const entry of engineOptionTable) if (!own.has(entry.key)) addEngineOption(command, entry, entry.group);
}

/** What was given of them; a default of commander's own counts as not given. */
export function readEngineOptions(command: Command, own: OwnOptions = noOwn): Partial<EngineOptions> {
  const raw = command.opts<Record<string, unknown>>();
  const given: Partial<EngineOptions> = {};
  for (const entry of engineOptionTable) {
    if (own.has(entry.key)) continue;
    for (const name of entry.flags.match(/--[a-z][a-z-]*/g) ?? []) {
      const attribute = name.slice(2).replace(/-([a-z])/g, (_, c: string) => c.toUpperCase());
      const value = raw[attribute];
      if (value === undefined || command.getOptionValueSource(attribute) === 'default') continue;
      Object.assign(given, { [entry.key]: entry.read(String(value), name) });
    }
  }
  return given;
}

/** What every planning command reads alike: model, devices, engine, requirements, where the answer goes. */
export function readPlanArguments(command: Command): PlanArguments {
  const raw = command.opts<Record<string, string | boolean | string[] | undefined>>();
  const text = (key: string): string | undefined => (typeof raw[key] === 'string' ? (raw[key] as string) : undefined);
  return {
    model: text('model'),
    gpu: text('gpu'),
    gpuMemory: text('gpuMemory'),
    freeMemory: text('freeMemory'),
    engine: text('engine'),
    context: raw.context === undefined ? undefined : parseCount(String(raw.context), '--context'),
    fromCommand: text('fromCommand'),
    require: (raw.require as string[] | undefined) ?? [],
    matrix: raw.matrix === true,
    explain: raw.explain === true,
    assumeArchitecture: text('assumeArchitecture'),
    format: raw.json === true ? 'json' : text('format'),
    output: text('output'),
    given: readEngineOptions(command),
  };
}

/** For options that may be repeated. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

function addEngineOption(command: Command, entry: EngineOptionEntry, group: string): void {
  const names = entry.flags.split(', ');
  // commander takes one long name; the short form of vLLM's (--tp) becomes a hidden twin.
  for (const [i, name] of names.entries()) {
    const value = takesValue(entry) && !name.includes('<') ? `${name} ${entry.flags.match(/<[^>]+>/)![0]}` : name;
    const isShort = /^-\w/.test(name);
    if (isShort) continue;
    const short = names.find((other) => /^-\w\b/.test(other));
    const flags = short && i === names.length - 1 ? `${short}, ${value}` : value;
    const option = command
      .createOption(flags, entry.description)
      .helpGroup(`${group} (as in vLLM, default of that release):`);
    if (i < names.length - 1) option.hideHelp();
    command.addOption(option);
  }
  if (negatable.includes(entry.key)) {
    const option = command.createOption(`--no-${entry.flags.replace('--', '')}`, '').hideHelp();
    command.addOption(option);
  }
}
