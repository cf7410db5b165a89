// `vram list <kind>`: what ships, one line an entry.
import { inputError } from '../diagnostics.ts';
import { readBuilds } from '../engines/llamacpp/builds.ts';
import { readReleases } from '../engines/vllm/releases.ts';
import type { Io } from '../io.ts';
import { nearestNames } from '../load/names.ts';
import { loadPresets } from '../load/presets.ts';
import { gib, parameters } from '../numbers.ts';
import { grid } from '../render/grid.ts';
import { distributionMean, parseDistribution } from '../sim/workload/distribution.ts';
import { makeCommand, parseCommand } from './command.ts';

export const kinds = [
  'models',
  'gpus',
  'nodes',
  'engines',
  'quantizations',
  'workloads',
  'deployments',
  'scenarios',
  'sharing',
  'loading',
] as const;
export type Kind = (typeof kinds)[number];

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const command = makeCommand(
    'list',
    'What ships with vram.',
    ['vram list gpus', 'vram list models --filter qwen3', 'vram list engines --json'],
    io,
  )
    .argument('<kind>', kinds.join(', '))
    .option('--filter <text>', 'only entries whose id or name holds this text')
    .option('--json', 'as JSON');
  if (!(await parseCommand(command, argv))) return 0;
  const kind = kindOf(command.args[0]!);
  const { filter, json } = command.opts<{ filter?: string; json?: boolean }>();
  const entries = entriesOf(kind).filter((entry) => matches(entry, filter));
  if (json) io.out(`${JSON.stringify({ schemaVersion: 1, command: 'list', result: { [kind]: entries } }, null, 2)}\n`);
  else io.out(tableOf(kind, entries, io.columns));
  return 0;
}

function matches(entry: Entry, filter: string | undefined): boolean {
  return !filter || Object.values(entry).join(' ').toLowerCase().includes(filter.toLowerCase());
}

/** The last column gives way when the line would be wider than the terminal. */
function tableOf(kind: Kind, entries: readonly Entry[], width: number): string {
  if (entries.length === 0) return 'nothing matches\n';
  const { head, align, row } = columns[kind];
  const lines = grid(head, align, entries.map(row)).split('\n');
  return `${lines.map((line) => clip(line, Math.max(width, 40))).join('\n')}\n`;
}

function clip(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, width - 3).trimEnd()}...` : line;
}

export function kindOf(word: string): Kind {
  const plural = word.endsWith('s') ? word : `${word}s`;
  const kind = kinds.find((candidate) => candidate === plural || candidate === word);
  if (kind) return kind;
  throw inputError('VRAM155', `there is no kind ${JSON.stringify(word)}`, {
    hint: `did you mean ${nearestNames(plural, kinds)[0] ?? kinds[0]}? (${kinds.join(', ')})`,
  });
}

type Entry = Record<string, string | number | null>;

interface Columns {
  head: string[];
  align: ('left' | 'right')[];
  row: (entry: Entry) => string[];
}

const columns: Readonly<Record<Kind, Columns>> = {
  models: {
    head: ['model', 'size', 'Hugging Face'],
    align: ['left', 'right', 'left'],
    row: ({ id, parameters: size, hfId }) => [String(id), size ? parameters(Number(size)) : '', String(hfId ?? '')],
  },
  gpus: {
    head: ['GPU', 'memory', 'cc', 'name'],
    align: ['left', 'right', 'left', 'left'],
    row: ({ id, cudaTotalBytes, computeCapability, name }) => [
      String(id),
      gib(Number(cudaTotalBytes)),
      String(computeCapability ?? ''),
      String(name),
    ],
  },
  nodes: {
    head: ['node', 'GPUs', 'NVLink', '$/hour'],
    align: ['left', 'left', 'right', 'right'],
    row: ({ id, count, gpu, nvlinkDomain, pricePerHour }) => [
      String(id),
      `${count}x ${gpu}`,
      Number(nvlinkDomain) > 1 ? String(nvlinkDomain) : 'none',
      pricePerHour === null ? '' : Number(pricePerHour).toFixed(2),
    ],
  },
  engines: { head: ['engine'], align: ['left'], row: ({ id }) => [String(id)] },
  quantizations: {
    head: ['scheme', 'bits', 'name'],
    align: ['left', 'right', 'left'],
    row: ({ id, bits, name, synonyms }) => [
      String(id),
      String(bits),
      `${String(name ?? '')}${synonyms ? ` (also ${String(synonyms)})` : ''}`,
    ],
  },
  workloads: {
    head: ['workload', 'arrivals', 'input', 'output', 'name'],
    align: ['left', 'left', 'right', 'right', 'left'],
    row: ({ id, arrivals, meanInputTokens, meanOutputTokens, name }) => [
      String(id),
      String(arrivals),
      String(Math.round(Number(meanInputTokens))),
      String(Math.round(Number(meanOutputTokens))),
      String(name),
    ],
  },
  deployments: {
    head: ['deployment', 'fits', 'GPU', 'model'],
    align: ['left', 'left', 'left', 'left'],
    row: ({ id, fits, gpu, model }) => [id, fits, gpu, String(model).replace(/^.*\//, '')].map(String),
  },
  scenarios: {
    head: ['scenario', 'question'],
    align: ['left', 'left'],
    row: ({ id, question }) => [String(id), String(question)],
  },
  sharing: {
    head: ['policy', 'runs', 'what it does'],
    align: ['left', 'left', 'left'],
    row: ({ id, runs, summary }) => [id, runs, summary].map(String),
  },
  loading: {
    head: ['behaviour', 'what it does'],
    align: ['left', 'left'],
    row: ({ id, summary }) => [String(id), String(summary)],
  },
};

function entriesOf(kind: Kind): Entry[] {
  switch (kind) {
    case 'models':
      return loadPresets('models').map((model) => ({
        id: model.id,
        name: model.name ?? model.id,
        hfId: model.hfId ?? null,
        architecture: model.architecture,
        parameters: model.parameters ?? null,
      }));
    case 'gpus':
      return loadPresets('gpus').map(({ id, name, vendor, cudaTotalBytes, driverTotalBytes, computeCapability }) => ({
        id,
        name,
        vendor,
        cudaTotalBytes,
        driverTotalBytes,
        computeCapability: computeCapability ?? null,
      }));
    case 'nodes':
      return loadPresets('nodes').map(({ id, name, provider, gpu, count, nvlinkDomain, prices }) => ({
        id,
        name,
        provider,
        gpu,
        count,
        nvlinkDomain,
        pricePerHour: prices?.find(({ kind }) => kind === 'on-demand')?.perHour ?? null,
      }));
    case 'engines':
      return [
        ...[...readReleases].reverse().map((release) => ({ id: `vllm@${release}` })),
        ...[...readBuilds].reverse().map((build) => ({ id: `llama.cpp@${build}` })),
        ...[...loadPresets('ollama').versions]
          .reverse()
          .map(({ version, build }) => ({ id: `ollama@${version}`, build })),
      ];
    case 'quantizations':
      return loadPresets('quantizations').map(({ id, name, bits, method, synonyms }) => ({
        id,
        name: name ?? null,
        bits,
        method,
        synonyms: synonyms?.join(', ') ?? null,
      }));
    case 'workloads':
      return loadPresets('workloads').map(({ id, name, arrivals, rate, input, output }) => ({
        id,
        name,
        arrivals: String(arrivals ?? 'poisson'),
        rate: Number(rate ?? 0) || null,
        meanInputTokens: meanOf(input),
        meanOutputTokens: meanOf(output),
      }));
    case 'deployments':
      return loadPresets('deployments').map(({ id, name, model, gpu, engine, fits, corrects }) => ({
        id,
        name,
        model,
        gpu,
        engine: engine ?? 'vllm',
        fits: fits ? 'yes' : 'no',
        corrects: corrects ?? null,
      }));
    case 'scenarios':
      return loadPresets('scenarios').map(({ id, name, question, claim }) => ({
        id,
        name,
        question,
        advice: claim.advice,
      }));
    case 'sharing':
      return loadPresets('sharing').map(({ id, name, kind, runs, summary }) => ({
        id,
        name,
        kind,
        runs: runs ? 'yes' : 'no',
        summary,
      }));
    case 'loading':
      return loadPresets('loading').map(({ id, name, unloads, summary }) => ({ id, name, unloads, summary }));
  }
}

function meanOf(length: string | number | undefined): number | null {
  const distribution = parseDistribution(String(length ?? ''));
  return (distribution && distributionMean(distribution)) ?? null;
}
