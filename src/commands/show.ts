// `vram show <kind> <id>`: one preset as YAML with its sources; `vram show model <ref> --tensors` lists the tensors of a model.
import { expandArchitecture } from '../architecture/index.ts';
import { tensorRows } from '../architecture/listing.ts';
import { inputError } from '../diagnostics.ts';
import { readReleases } from '../engines/vllm/releases.ts';
import type { Io } from '../io.ts';
import { resolveGpus, resolveModel } from '../load/index.ts';
import { nearestNames } from '../load/names.ts';
import { loadPresets } from '../load/presets.ts';
import { thousands } from '../numbers.ts';
import { grid } from '../render/grid.ts';
import { makeCommand, parseCommand } from './command.ts';
import { kindOf } from './list.ts';
import { unknownScheme } from './plan-checks.ts';

interface ShowOptions {
  tensors?: boolean;
  json?: boolean;
}

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const command = makeCommand(
    'show',
    'One preset as YAML with its sources, or the tensors of a model.',
    [
      'vram show gpu rtx4090',
      'vram show model qwen3-8b',
      'vram show model mixtral-8x7b --tensors',
      'vram show engine vllm@0.19.0',
    ],
    io,
  )
    .argument('<kind>', 'model, gpu, engine, quantization, workload')
    .argument('<ref>', 'id, alias, Hugging Face id or file')
    .option('--tensors', 'list the tensors of a model')
    .option('--json', 'as JSON');
  if (!(await parseCommand(command, argv))) return 0;
  const [kind, ref] = command.args as [string, string];
  const options = command.opts<ShowOptions>();
  if (options.tensors) {
    if (kindOf(kind) !== 'models')
      throw inputError('VRAM156', '--tensors goes with a model', { hint: 'vram show model <ref> --tensors' });
    await showTensors(ref, options, io);
    return 0;
  }
  const value = await entryOf(kindOf(kind), ref, io);
  if (options.json) io.out(`${JSON.stringify(value, null, 2)}\n`);
  else {
    const { stringify } = await import('yaml');
    io.out(stringify(value, { lineWidth: 100 }));
  }
  return 0;
}

async function showTensors(ref: string, options: ShowOptions, io: Io): Promise<void> {
  const { spec } = await resolveModel(ref, { env: io.env });
  const rows = tensorRows(expandArchitecture(spec));
  if (options.json) {
    io.out(
      `${JSON.stringify({ schemaVersion: 1, command: 'show', result: { model: spec.id, tensors: rows } }, null, 2)}\n`,
    );
    return;
  }
  const shown = rows.map((row) => [row.name, row.shape.join(' x '), thousands(row.count), row.role]);
  io.out(`${grid(['tensor', 'shape', 'count', 'role'], ['left', 'left', 'right', 'left'], shown)}\n`);
}

async function entryOf(kind: ReturnType<typeof kindOf>, ref: string, io: Io): Promise<unknown> {
  switch (kind) {
    case 'models':
      return (await resolveModel(ref, { env: io.env })).spec;
    case 'gpus':
      return (await resolveGpus(ref, { env: io.env })).gpus[0];
    case 'engines':
      return engineEntry(ref);
    case 'quantizations': {
      const scheme = loadPresets('quantizations').find((entry) => entry.id === ref || entry.synonyms?.includes(ref));
      if (!scheme) throw unknownScheme(ref);
      return scheme;
    }
    case 'workloads':
      return workloadEntry(ref);
  }
}

function workloadEntry(ref: string): unknown {
  const presets = loadPresets('workloads');
  const preset = presets.find(({ id }) => id === ref.trim().toLowerCase());
  if (preset) return preset;
  const near = nearestNames(
    ref,
    presets.map(({ id }) => id),
    1,
  )[0];
  throw inputError('VRAM157', `there is no workload ${JSON.stringify(ref)}`, {
    hint: near ? `did you mean ${near}?` : 'vram list workloads shows them',
  });
}

async function engineEntry(ref: string): Promise<unknown> {
  const { resolveEngineRef } = await import('../load/engine.ts');
  const { release, profile } = resolveEngineRef(ref);
  return { id: 'vllm', release, releases: readReleases, rules: profile };
}
