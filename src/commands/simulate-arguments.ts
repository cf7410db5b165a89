// The command line of `vram simulate`: how its options are declared and read. What they mean for a run is simulate-setup.ts.
import type { Command } from 'commander';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { nearestNames, printable } from '../load/names.ts';
import { type Objective, parseObjectives } from '../plan/slo.ts';
import { policies, policyHelp } from '../sim/policies.ts';
import { parseCount } from '../spec/count.ts';
import { longNames } from '../spec/engine-options.ts';
import {
  type SimulationOptionEntry,
  type SimulationOptions,
  simulationOptionTable,
} from '../spec/simulation-options.ts';
import { makeCommand } from './command.ts';
import { addEngineOptions, collect, readPlanArguments } from './engine-arguments.ts';
import type { PlanArguments } from './plan-request.ts';
import { repetitionNotes } from './simulate-checks.ts';
import { type Sweep, sweepsOf } from './simulate-sweep.ts';

export interface SimulateArguments extends PlanArguments {
  workload?: string;
  policies: string[];
  /** With --pool: behaviours of weights that come and go. */
  loadings: string[];
  evictions: string[];
  simulation: SimulationOptions;
  runConfig?: string;
  /** Several models on the same GPUs. */
  pool?: string;
  cacheOnly: boolean;
  /** Infinity for "inf". */
  capacityBlocks: number[];
  sweeps: Sweep[];
  timeline?: string;
  events?: string;
  perRequest?: string;
  findMaxRate: boolean;
  objectives: Objective[];
  advice: boolean;
  jobs?: number;
  /** What was noticed while the command line was read. */
  notes?: readonly Diagnostic[];
}

const examples = [
  'vram simulate -m llama-3.1-8b -g l4 --workload azure-conv.csv --rate 0.1x',
  'vram simulate -m llama-3.1-8b -g a100-80gb -w sharegpt --rate 4/s',
  'vram simulate -m opt-13b -g a100-40gb --workload sharegpt \\\n      --policy paged,orca-max,orca-pow2,orca-oracle',
  'vram simulate -m qwen3-8b -g l4 -w trace.jsonl --sweep block-size=16,32,64',
  "vram simulate -m llama-3.1-8b -g l4 --workload trace.csv \\\n      --find-max-rate --slo 'ttft_p99<2s'",
  'vram simulate --cache-only --workload mooncake.jsonl \\\n      --capacity-blocks 1000,10000,inf --eviction lru,lfu',
  'vram simulate --pool shared-gpu.yaml --policy static,kvcached',
];

export function simulateCommand(io: Io): Command {
  const command = makeCommand(
    'simulate',
    'What happens to the KV cache, block by block, under a workload: utilization,\nfragmentation, prefix hits, preemptions, latency.',
    examples,
    io,
  );
  command
    .option('-m, --model <ref>', 'preset, Hugging Face id, YAML spec, config.json, directory')
    .option('-g, --gpu <ref>', 'preset, "2x rtx4090", printed name, YAML spec, auto')
    .option('--gpu-memory <size>', 'total that CUDA reports, e.g. 79.18GiB')
    .option('--free-memory <sizes>', 'free on each GPU at the start, e.g. 22GiB,23GiB')
    .option('--engine <id[@version]>', 'vllm (newest known release), vllm@0.19.0')
    .option('--deployment <id|file>', 'a complete configuration (vram list deployments)')
    .option('--context <tokens>', 'requirement of the plan: sequences of this length')
    .option('--from-command <line>', 'read the options of a vllm serve line')
    .option('--assume-architecture <family>', 'plan an unknown architecture as this family')
    .option('-w, --workload <file|preset>', 'a trace file, or a preset (vram list workloads)')
    .option('--policy <list>', 'memory and scheduling, comma-separated (default paged)')
    .option('--pool <file>', 'several models on the same GPUs (vram schema pool)')
    .option('--loading <list>', 'with --pool: how weights come and go (vram list loading)')
    .option('--run-config <file[#id]>', 'a run of a scheduler-runs file, taken whole')
    .option('--sweep <key=a,b,c>', 'one run for each value of an option (repeatable)', collect)
    .option('--find-max-rate', 'the highest rate at which every --slo holds')
    .option('--slo <objective>', 'ttft_p99<2s, tpot_mean<50ms, ... (repeatable)', collect)
    .option('--cache-only', 'replay the blocks through a cache: hit rate by capacity')
    .option('--capacity-blocks <list>', 'capacities for --cache-only, e.g. 1000,10000,inf')
    .option('--jobs <n>', 'runs side by side (default: the processors)')
    .option('--no-advice', 'no runs with one option changed')
    .option('--timeline <file>', 'memory over time as .csv, .svg or .html')
    .option('--events <file>', 'every block taken, freed and evicted, as JSONL')
    .option('--per-request <file>', 'one CSV line a request')
    .option('--require <expr>', 'assertion over the result (repeatable)', collect)
    .option('--format <form>', 'table, json, yaml, markdown, csv, github, junit, html, svg')
    .option('--json', 'same as --format json')
    .option('-o, --output <file>', 'write the result to a file (- for standard output)');
  command.addHelpText('after', `\nPolicies:\n${policyLines()}\n\nTables of several runs take up to 80 columns.`);
  for (const entry of simulationOptionTable) addSimulationOption(command, entry);
  addEngineOptions(command);
  return command;
}

function policyLines(): string {
  return policies.map((name) => `  ${name.padEnd(16)}${policyHelp[name]}`).join('\n');
}

function addSimulationOption(command: Command, entry: SimulationOptionEntry): void {
  const group = `${entry.group}:`;
  const option = command.createOption(entry.flags, entry.description).helpGroup(group);
  if (entry.key === 'kvGroups') option.argParser(collect);
  command.addOption(option);
  if (entry.negatable) command.addOption(command.createOption(`--no-${entry.flags.slice(2)}`, '').hideHelp());
}

export function readSimulateArguments(command: Command, repeated: ReadonlySet<string>): SimulateArguments {
  const raw = command.opts<Record<string, string | boolean | string[] | undefined>>();
  const text = (key: string): string | undefined => (typeof raw[key] === 'string' ? (raw[key] as string) : undefined);
  const list = (key: string): string[] => (raw[key] as string[] | undefined) ?? [];
  return {
    ...readPlanArguments(command),
    workload: text('workload'),
    policies: named(text('policy'), '--policy'),
    loadings: named(text('loading'), '--loading'),
    evictions: named(text('eviction'), '--eviction'),
    simulation: readSimulationOptions(command, raw),
    runConfig: text('runConfig'),
    pool: text('pool'),
    cacheOnly: raw.cacheOnly === true,
    capacityBlocks: named(text('capacityBlocks'), '--capacity-blocks').map(capacity),
    sweeps: sweepsOf(list('sweep')),
    timeline: text('timeline'),
    events: text('events'),
    perRequest: text('perRequest'),
    findMaxRate: raw.findMaxRate === true,
    objectives: list('slo').flatMap((objective) => parseObjectives(objective, '--slo')),
    advice: raw.advice !== false,
    jobs: raw.jobs === undefined ? undefined : parseCount(String(raw.jobs), '--jobs', { max: 256 }),
    notes: repetitionNotes(repeated),
  };
}

/** Words of a list; a list of none is a mistake. */
function named(list: string | undefined, option: string): string[] {
  const found = words(list);
  if (list === undefined || found.length > 0) return found;
  throw inputError('VRAM655', `${option} names nothing: ${JSON.stringify(printable(list))}`, {
    hint: 'write names with commas between them, or leave the option out',
    path: option,
  });
}

function words(list: string | undefined): string[] {
  return (list ?? '')
    .split(',')
    .map((word) => word.trim().toLowerCase())
    .filter(Boolean);
}

function capacity(word: string): number {
  return /^(inf|infinite|infinity|∞)$/.test(word) ? Number.POSITIVE_INFINITY : parseCount(word, '--capacity-blocks');
}

function readSimulationOptions(command: Command, raw: Readonly<Record<string, unknown>>): SimulationOptions {
  const options: SimulationOptions = {};
  for (const entry of simulationOptionTable) {
    if (entry.key === 'eviction') continue;
    const [name] = longNames(entry);
    const attribute = name!.slice(2).replace(/-([a-z])/g, (_, c: string) => c.toUpperCase());
    const value = raw[attribute];
    if (value === undefined || command.getOptionValueSource(attribute) === 'default') continue;
    const values = Array.isArray(value) ? value.flatMap((one) => entry.read(String(one), name!)) : undefined;
    Object.assign(options, { [entry.key]: values ?? entry.read(String(value), name!) });
  }
  return options;
}

/** One of `known`, or a refusal that names the nearest. */
export function choose<Name extends string>(word: string, known: readonly Name[], what: string, option: string): Name {
  const found = known.find((name) => name === word);
  if (found !== undefined) return found;
  const nearest = nearestNames(word, known, 1)[0];
  throw inputError('VRAM655', `there is no ${what} ${JSON.stringify(printable(word))}`, {
    hint: `${nearest ? `did you mean ${nearest}? ` : ''}(${known.join(', ')})`,
    path: option,
  });
}
