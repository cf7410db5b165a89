// What a command line of `vram simulate` asks for in vain or twice: two outputs into one file, an output over the workload, options
// that nothing in this run reads. What cannot be meant is refused; what changes nothing is told.
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import { printable } from '../load/names.ts';
import { engineOptionTable, longNames } from '../spec/engine-options.ts';
import { type SimulationOptions, simulationOptionTable } from '../spec/simulation-options.ts';
import { collect } from './engine-arguments.ts';
import type { SimulateArguments } from './simulate-arguments.ts';

/** Watches a command while it parses: the names of options with one value that are given more than once. */
export function repeatedOptions(command: Command): Set<string> {
  const seen = new Map<string, string>();
  const repeated = new Set<string>();
  for (const option of command.options) {
    if (!option.required || option.parseArg === collect) continue;
    const name = option.long ?? option.flags;
    const entry = engineOptionTable.find((candidate) => longNames(candidate).includes(name));
    const key = entry?.key ?? name;
    command.on(`option:${option.name()}`, () => {
      const before = seen.get(key) ?? name;
      if (before !== name) throw inputError('VRAM680', `${before} and ${name} are one option`, { path: name });
      if (seen.has(key)) repeated.add(name);
      seen.set(key, name);
    });
  }
  return repeated;
}

export function repetitionNotes(repeated: ReadonlySet<string>): Diagnostic[] {
  return [...repeated].map((name) => ({
    severity: 'warning',
    code: 'VRAM680',
    message: `${name} is given more than once: the last one counts`,
    path: name,
  }));
}

/** Refuses outputs that would overwrite each other or what is read. */
export function checkOutputs(args: SimulateArguments): void {
  const outputs: [option: string, file: string | undefined][] = [
    ['--output', args.output],
    ['--timeline', args.timeline],
    ['--events', args.events],
    ['--per-request', args.perRequest],
  ];
  const inputs: [option: string, file: string | undefined][] = [
    ['--workload', args.workload],
    ['--run-config', args.runConfig?.replace(/#[^#/]*$/, '')],
    ['--model', args.model],
    ['--gpu', args.gpu],
  ];
  const read = new Map(
    inputs.flatMap(([option, file]) => (file === undefined || file === '-' ? [] : [[placeOf(file), option]])),
  );
  const written = new Map<string, string>();
  for (const [option, file] of outputs) {
    if (file === undefined || file === '') continue;
    const place = placeOf(file);
    const other = written.get(place);
    if (other !== undefined) {
      const where = place === '-' ? 'standard output' : printable(file);
      throw inputError('VRAM681', `${other} and ${option} both write to ${where}`, {
        hint: place === '-' ? 'write one of them to a file, e.g. -o result.json' : 'give each a file of its own',
        path: option,
      });
    }
    written.set(place, option);
    const input = read.get(place);
    if (input !== undefined) {
      throw inputError('VRAM681', `${option} would overwrite what ${input} reads: ${printable(file)}`, {
        hint: 'write to another file',
        path: option,
      });
    }
  }
}

/** The same for every way to name a file; devices can be written to by several. */
function placeOf(file: string): string {
  if (file === '-') return file;
  const path = resolve(file);
  if (path.startsWith('/dev/')) return `${path} ${file}`;
  try {
    return realpathSync(path);
  } catch {
    try {
      return join(realpathSync(dirname(path)), basename(path));
    } catch {
      return path;
    }
  }
}

/** What a cache without engine and clock reads of the options of a simulation. */
const readByCache: ReadonlySet<keyof SimulationOptions> = new Set([
  'eviction',
  'limit',
  'durationSeconds',
  'repeat',
  'samples',
  'workloadModel',
  'seed',
  'pinPrefixTokens',
]);

export function cacheOnlyNotes(args: SimulateArguments): Diagnostic[] {
  const idle = [
    ...(args.model === undefined ? [] : ['--model']),
    ...(args.gpu === undefined ? [] : ['--gpu']),
    ...(args.policies.length > 0 ? ['--policy'] : []),
    ...(args.objectives.length > 0 ? ['--slo'] : []),
    ...engineOptionTable
      .filter(({ key }) => key !== 'blockSize' && args.given[key] !== undefined)
      .map((entry) => longNames(entry).at(-1)!),
    ...simulationOptionTable
      .filter(({ key }) => !readByCache.has(key) && args.simulation[key] !== undefined)
      .map((entry) => longNames(entry)[0]!),
  ];
  return idle.length === 0 ? [] : [withoutEffect(idle, 'a cache alone has neither engine nor clock', '--cache-only')];
}

/** Options of which nothing is read because another is not given. */
export function idleNotes({ capacityBlocks, cacheOnly, loadings, pool, simulation }: SimulateArguments): Diagnostic[] {
  const { kvOffloadingSizeGiB: host, kvOffloadingDiskGiB: disk, diskBandwidth } = simulation;
  return [
    ...(capacityBlocks.length > 0 && !cacheOnly
      ? [withoutEffect(['--capacity-blocks'], 'it is for --cache-only', '--capacity-blocks')]
      : []),
    ...(loadings.length > 0 && pool === undefined
      ? [withoutEffect(['--loading'], 'one model stays in memory; it is for --pool', '--loading')]
      : []),
    ...(disk !== undefined && host === undefined
      ? [withoutEffect(['--kv-offloading-disk'], 'it lies below --kv-offloading-size', '--kv-offloading-disk')]
      : []),
    ...(diskBandwidth !== undefined && disk === undefined
      ? [withoutEffect(['--disk-bandwidth'], 'there is no --kv-offloading-disk', '--disk-bandwidth')]
      : []),
  ];
}

export function withoutEffect(names: readonly string[], why: string, path: string): Diagnostic {
  return { severity: 'warning', code: 'VRAM682', message: `without effect: ${names.join(', ')} (${why})`, path };
}
