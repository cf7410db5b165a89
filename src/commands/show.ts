// `vram show <kind> <id>`: one preset as YAML with its sources; `vram show model <ref> --tensors` lists the tensors of a model.

import { type GgufRow, ggufRows, ggufTypes, type TypeSum, typeSums } from '../architecture/gguf-listing.ts';
import { expandArchitecture } from '../architecture/index.ts';
import { type TensorRow, tensorRows } from '../architecture/listing.ts';
import { inputError } from '../diagnostics.ts';
import { readReleases } from '../engines/vllm/releases.ts';
import type { Io } from '../io.ts';
import { findDeployment } from '../load/deployment.ts';
import { type ResolvedModel, resolveGpus, resolveModel } from '../load/index.ts';
import { findLoading } from '../load/loading.ts';
import { nearestNames } from '../load/names.ts';
import { findPreset, loadPresets } from '../load/presets.ts';
import { findScenario } from '../load/scenario.ts';
import { findSharing } from '../load/sharing.ts';
import { gib, thousands } from '../numbers.ts';
import { grid } from '../render/grid.ts';
import { visible } from '../render/text.ts';
import { sum } from '../units.ts';
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
      'vram show model model.gguf --tensors',
      'vram show engine vllm@0.19.0',
      'vram show deployment llama-2-7b-chat-awq',
    ],
    io,
  )
    .argument('<kind>', 'model, gpu, node, engine, quantization, workload, deployment, scenario, sharing, loading')
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
  const resolved = await resolveModel(ref, { env: io.env });
  const { rows, types } = listed(resolved);
  if (options.json) {
    const result = { model: resolved.spec.id, tensors: rows, ...(types ? { types } : {}) };
    io.out(`${JSON.stringify({ schemaVersion: 1, command: 'show', result }, null, 2)}\n`);
    return;
  }
  io.out(`${tensorTable(rows)}\n`);
  if (types) io.out(`\n${typeTable(types)}\n`);
}

type ShownRow = TensorRow & Partial<Pick<GgufRow, 'type' | 'bytes'>>;

/** The tensors of a GGUF file are those of the file; of other models, those of the architecture, with a checkpoint's own sums. */
function listed({ spec, gguf, checkpoint }: ResolvedModel): { rows: ShownRow[]; types?: TypeSum[] } {
  if (gguf) return { rows: ggufRows(gguf.tensors), types: ggufTypes(gguf.tensors) };
  const rows = tensorRows(expandArchitecture(spec));
  if (!checkpoint) return { rows };
  return { rows, types: typeSums(checkpoint.tensors.map(({ dtype, bytes }) => ({ type: dtype, bytes }))) };
}

function tensorTable(rows: readonly ShownRow[]): string {
  const typed = rows.some(({ type }) => type !== undefined);
  const shown = rows.map(({ name, shape, count, role, type = '', bytes = 0 }) => [
    visible(name),
    shape.join(' x '),
    thousands(count),
    role,
    ...(typed ? [type, thousands(bytes)] : []),
  ]);
  const head = ['tensor', 'shape', 'count', 'role', ...(typed ? ['type', 'bytes'] : [])];
  return grid(
    head,
    head.map((column) => (column === 'count' || column === 'bytes' ? 'right' : 'left')),
    shown,
  );
}

function typeTable(types: readonly TypeSum[]): string {
  const rows = types.map(({ type, tensors, bytes }) => [
    visible(type),
    thousands(tensors),
    thousands(bytes),
    gib(bytes),
  ]);
  const bytes = sum(types.map((type) => type.bytes));
  const all = ['all', thousands(sum(types.map(({ tensors }) => tensors))), thousands(bytes), gib(bytes)];
  return grid(['type', 'tensors', 'bytes', 'size'], ['left', 'right', 'right', 'right'], [...rows, all]);
}

async function entryOf(kind: ReturnType<typeof kindOf>, ref: string, io: Io): Promise<unknown> {
  switch (kind) {
    case 'models':
      return (await resolveModel(ref, { env: io.env })).spec;
    case 'gpus':
      return (await resolveGpus(ref, { env: io.env })).gpus[0];
    case 'nodes':
      return nodeEntry(ref);
    case 'engines':
      return engineEntry(ref);
    case 'quantizations': {
      const scheme = loadPresets('quantizations').find((entry) => entry.id === ref || entry.synonyms?.includes(ref));
      if (!scheme) throw unknownScheme(ref);
      return scheme;
    }
    case 'workloads':
      return workloadEntry(ref);
    case 'deployments':
      return findDeployment(ref);
    case 'scenarios':
      return findScenario(ref);
    case 'sharing':
      return findSharing(ref);
    case 'loading':
      return findLoading(ref);
  }
}

function nodeEntry(ref: string): unknown {
  const node = findPreset('nodes', ref);
  if (node) return node;
  const names = loadPresets('nodes').flatMap(({ id, aliases = [] }) => [id, ...aliases]);
  const near = nearestNames(ref, names, 1)[0];
  throw inputError('VRAM177', `there is no node ${JSON.stringify(ref)}`, {
    hint: near ? `did you mean ${near}?` : 'vram list nodes shows them',
  });
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
