// `vram list <kind>`: what ships, one line an entry.
import { inputError } from '../diagnostics.ts';
import { readReleases } from '../engines/vllm/releases.ts';
import type { Io } from '../io.ts';
import { nearestNames } from '../load/names.ts';
import { loadPresets } from '../load/presets.ts';
import { parameters } from '../numbers.ts';
import { plainTable } from '../render/table.ts';
import { makeCommand, parseCommand } from './command.ts';

export const kinds = ['models', 'gpus', 'engines', 'quantizations', 'workloads'] as const;
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
  const rows = rowsOf(kind).filter((row) => !filter || row.join(' ').toLowerCase().includes(filter.toLowerCase()));
  if (json)
    io.out(
      `${JSON.stringify(
        rows.map(([id, ...facts]) => ({ id, facts })),
        null,
        2,
      )}\n`,
    );
  else {
    const table = plainTable([], ['left', 'left', 'left', 'left']);
    for (const row of rows) table.push([...row]);
    io.out(`${table.toString()}\n`);
  }
  return 0;
}

export function kindOf(word: string): Kind {
  const plural = word.endsWith('s') ? word : `${word}s`;
  const kind = kinds.find((candidate) => candidate === plural);
  if (kind) return kind;
  throw inputError('VRAM155', `there is no kind ${JSON.stringify(word)}`, {
    hint: `did you mean ${nearestNames(plural, kinds)[0] ?? kinds[0]}? (${kinds.join(', ')})`,
  });
}

function rowsOf(kind: Kind): string[][] {
  switch (kind) {
    case 'models':
      return loadPresets('models').map((model) => [
        model.id,
        parameters(model.parameters ?? 0),
        model.hfId ?? '',
        model.architecture,
      ]);
    case 'gpus':
      return loadPresets('gpus').map((gpu) => [
        gpu.id,
        `${(gpu.cudaTotalBytes / 2 ** 30).toFixed(2)} GiB`,
        gpu.computeCapability ?? '',
        gpu.name,
      ]);
    case 'engines':
      return [...readReleases].reverse().map((release) => [`vllm@${release}`]);
    case 'quantizations':
      return loadPresets('quantizations').map((scheme) => [scheme.id, scheme.name ?? '']);
    case 'workloads':
      return [];
  }
}
