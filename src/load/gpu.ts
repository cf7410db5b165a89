// Resolves --gpu: a preset by any of its names, several of them ("2x rtx4090", "rtx4090,rtx3090"), a node that stands for all its
// GPUs ("p5.48xlarge"), a YAML spec, or what this machine has ("auto"). Memory totals come from the preset unless the machine or --gpu-memory says better.
import { existsSync } from 'node:fs';
import { type Diagnostic, InputError, inputError } from '../diagnostics.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { NodeSpec } from '../spec/node.ts';
import type { Bytes } from '../units.ts';
import { absolute, type LoadContext, readText } from './context.ts';
import { gpuKey, nearestNames, printable } from './names.ts';
import { findPreset, findPresets, loadPreset, loadPresets } from './presets.ts';
import { parseSizes } from './size.ts';

export interface ResolvedGpus {
  /** One entry per GPU, in order. */
  gpus: GpuSpec[];
  /** The nodes that they are in, where some were named: in order, their GPUs side by side in `gpus`. */
  nodes?: NodeSpec[];
  /** What the driver says is free on each, when this machine was asked. */
  freeBytes?: Bytes[];
  from: 'preset' | 'spec' | 'machine';
  diagnostics: Diagnostic[];
}

const option = '--gpu';
/** More than any NVLink domain or cluster partition that one engine spans. */
const maxGpus = 4096;

/** Throws InputError (VRAM105, 108, 109) for bad references, VramError for trouble with the machine's tools. */
export async function resolveGpus(ref: string, context: LoadContext = {}): Promise<ResolvedGpus> {
  const text = ref.trim();
  if (text === '') throw inputError('VRAM105', 'no GPU given', { hint: 'e.g. --gpu rtx4090', path: option });
  if (text.toLowerCase() === 'auto') {
    const { detectGpus } = await import('./detect.ts');
    return detectGpus(context);
  }
  const out: ResolvedGpus = { gpus: [], from: 'preset', diagnostics: [] };
  for (const part of splitParts(text, context)) {
    const { count, name } = isThere(part, context) ? { count: 1, name: part } : counted(part);
    const { gpu, node, diagnostics, file } = await resolveOne(name, context);
    const all = count * (node?.count ?? 1);
    if (out.gpus.length + all > maxGpus) throw badCount(part, `more than ${maxGpus} GPUs`);
    for (let i = 0; i < all; i++) out.gpus.push(gpu);
    if (node) out.nodes = [...(out.nodes ?? []), ...Array.from({ length: count }, () => node)];
    out.diagnostics.push(...diagnostics);
    if (file) out.from = 'spec';
  }
  return out;
}

/** --gpu-memory: the total that CUDA reports, one size for all GPUs or one for each. */
export function withGpuMemory(gpus: readonly GpuSpec[], text: string): GpuSpec[] {
  const sizes = parseSizes(text, '--gpu-memory');
  if (sizes.length !== 1 && sizes.length !== gpus.length) {
    throw inputError('VRAM110', `--gpu-memory has ${sizes.length} sizes for ${gpus.length} GPUs`, {
      hint: 'give one size for all, or one for each',
      path: '--gpu-memory',
    });
  }
  return gpus.map((gpu, i) => {
    const bytes = sizes[sizes.length === 1 ? 0 : i]!;
    if (bytes <= 0) throw inputError('VRAM110', '--gpu-memory must be above zero', { path: '--gpu-memory' });
    const { windowsTotalBytes: _, eccTotalBytes: __, ...rest } = gpu;
    return { ...rest, cudaTotalBytes: bytes, cudaTotalConfidence: 'exact' as const };
  });
}

/** A comma separates GPUs, unless the whole is a file's name. */
function splitParts(text: string, context: LoadContext): string[] {
  if (text === '-' || isThere(text, context)) return [text];
  return text.split(',').map((part) => part.trim());
}

/** The whole names a file that exists, also where it looks like several GPUs (2x-mine.yaml). */
function isThere(text: string, context: LoadContext): boolean {
  return isFile(text) && !text.includes('\0') && existsSync(absolute(text, context));
}

function counted(part: string): { count: number; name: string } {
  const match = /^([+-]?\d+(?:\.\d+)?)\s*[x*\u00d7]\s*(\S.*)$/i.exec(part);
  if (!match) return { count: 1, name: part };
  const count = Number(match[1]);
  if (!Number.isInteger(count) || count < 1) throw badCount(part, `${match[1]} GPUs cannot be planned`);
  if (count > maxGpus) throw badCount(part, `more than ${maxGpus} GPUs`);
  return { count, name: match[2]! };
}

function badCount(part: string, reason: string): InputError {
  return inputError('VRAM109', `"${printable(part)}": ${reason}`, { hint: 'write e.g. 2x rtx4090', path: option });
}

function isFile(name: string): boolean {
  return name === '-' || /\.(ya?ml|json)$/i.test(name) || /^(\.{1,2}\/|\/|~\/)/.test(name);
}

interface One {
  gpu: GpuSpec;
  node?: NodeSpec;
  file?: boolean;
  diagnostics: Diagnostic[];
}

async function resolveOne(name: string, context: LoadContext): Promise<One> {
  if (name === '') throw inputError('VRAM105', 'an empty GPU name', { hint: 'e.g. 2x rtx4090', path: option });
  if (isFile(name)) return { gpu: await gpuFromFile(name, context), file: true, diagnostics: [] };
  const found = findPresets('gpus', name);
  const gpu = found[0];
  if (gpu) return { gpu, diagnostics: ambiguity(name, found) };
  const node = findPreset('nodes', name);
  if (!node) throw unknownGpu(name);
  return { gpu: loadPreset('gpus', node.gpu), node, diagnostics: [] };
}

async function gpuFromFile(path: string, context: LoadContext): Promise<GpuSpec> {
  const [{ parseYaml }, { gpuSchema }] = await Promise.all([import('./yaml.ts'), import('../spec/schema.ts')]);
  const { value, diagnostics } = parseYaml<GpuSpec>(readText(path, context, option), printable(path, 300), gpuSchema);
  if (value === undefined) throw new InputError(diagnostics);
  return value;
}

/** Cards of different memory can carry one name; the first is taken, and said unless the name is its id. */
function ambiguity(name: string, found: readonly GpuSpec[]): Diagnostic[] {
  const [first, ...others] = found;
  if (!first || others.length === 0 || gpuKey(name) === gpuKey(first.id)) return [];
  const message = `"${printable(name)}" is taken as ${first.id}; ${others.map((gpu) => gpu.id).join(', ')} ${
    others.length === 1 ? 'has' : 'have'
  } the same name`;
  return [{ severity: 'note', code: 'VRAM108', message, path: option }];
}

function unknownGpu(name: string): InputError {
  const entries = [...loadPresets('gpus'), ...loadPresets('nodes')];
  const names = entries.flatMap(({ id, aliases = [] }) => [id, ...aliases]);
  const near = nearestNames(name, names).concat(nearestNames(gpuKey(name), names));
  const close = [...new Set(near)].slice(0, 3);
  const hint =
    close.length > 0 ? `did you mean ${close.join(', ')}?` : 'vram list gpus shows all; a YAML spec works too';
  return inputError('VRAM105', `there is no GPU "${printable(name)}"`, { hint, path: option });
}
