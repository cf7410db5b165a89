// Resolves --model: a preset by any of its names, a variant of one, a YAML spec, a config.json, a directory with a checkpoint,
// a GGUF file, a repository of the Hugging Face hub, or standard input. Says what it took where a name could mean several things.
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { GgufModel } from '../spec/gguf.ts';
import type { ModelSpec } from '../spec/model.ts';
import { type LoadedSpec, specFromConfigText, specFromYaml } from './config-json.ts';
import { absolute, fileError, type LoadContext, readText } from './context.ts';
import { modelKey, nearestNames, printable } from './names.ts';
import { findPreset, loadPresets } from './presets.ts';
import type { Checkpoint } from './safetensors.ts';
import { resolveVariant, variantNames } from './variants.ts';

export interface ResolvedModel {
  spec: ModelSpec;
  /** Scheme id of a named quantized checkpoint; otherwise spec.quantization decides. */
  scheme?: string;
  from: 'preset' | 'variant' | 'spec' | 'config' | 'hub' | 'gguf';
  /** Tensors of the files beside a config.json, exactly. */
  checkpoint?: Checkpoint;
  /** The GGUF file's own description. */
  gguf?: GgufModel;
  diagnostics: Diagnostic[];
}

const option = '--model';

/** Throws InputError (VRAM10x, 11x) for what the user can mend, VramError for network and permission trouble. */
export async function resolveModel(ref: string, context: LoadContext = {}): Promise<ResolvedModel> {
  const name = ref.trim();
  if (name === '') throw inputError('VRAM104', 'no model given', { hint: 'e.g. --model llama-3.1-8b', path: option });
  if (printable(name, name.length) !== name) {
    throw inputError('VRAM104', `"${printable(name)}" holds control characters`, {
      hint: 'no model and no generated command can carry them; rename the file',
      path: option,
    });
  }
  if (name === '-') return fromText(readText('-', context, option), 'standard input');
  if (/^hf:/i.test(name)) return fromHub(name.slice(3), context);
  if (isPath(name)) return fromPath(name, context);
  const preset = findPreset('models', name);
  if (preset) return fromPreset(preset, name);
  const variant = resolveVariant(name);
  if (variant) return { ...variant, from: 'variant', diagnostics: variantNotes(name, variant.note) };
  if (!name.includes('\0') && existsSync(absolute(name, context))) return fromPath(name, context);
  throw unknownModel(name);
}

function isPath(name: string): boolean {
  return /\.(json|ya?ml|gguf|safetensors)$/i.test(name) || /^(\.{0,2}\/|\.{1,2}$|~)/.test(name);
}

function fromPreset(preset: ModelSpec, name: string): ResolvedModel {
  const key = modelKey(name);
  const diagnostics: Diagnostic[] = [];
  if (preset.shortNames?.some((short) => modelKey(short) === key)) {
    const called = preset.hfId ? `${preset.id} (${preset.hfId})` : preset.id;
    diagnostics.push({
      severity: 'note',
      code: 'VRAM117',
      message: `"${printable(name)}" is taken as ${called}`,
      hint: 'name the model in full if you mean another',
      path: option,
    });
  }
  // A checkpoint asked for by its repository is the one to serve.
  const asked = key.includes('/') ? preset.aliases?.find((alias) => modelKey(alias) === key) : undefined;
  return { spec: asked ? { ...preset, hfId: asked } : preset, from: 'preset', diagnostics };
}

function variantNotes(name: string, note: string | undefined): Diagnostic[] {
  if (!note) return [];
  return [{ severity: 'note', code: 'VRAM117', message: `${printable(name)}: ${note}`, path: option }];
}

async function fromPath(path: string, context: LoadContext): Promise<ResolvedModel> {
  if (/\.gguf$/i.test(path)) return fromGguf(path, context);
  const full = absolute(path, context);
  let directory: boolean;
  try {
    directory = statSync(full).isDirectory();
  } catch (error) {
    throw fileError(error, path, option);
  }
  if (directory || /\.safetensors$/i.test(path)) return fromDirectory(directory ? full : dirname(full), path, context);
  const text = readText(path, context, option);
  if (/\.ya?ml$/i.test(path)) return { ...(await specFromYaml(text, path)), from: 'spec' };
  if (basename(full) === 'config.json') return fromDirectory(dirname(full), path, context);
  return { ...(await specFromConfigText(text, path, { id: basename(full, '.json') })), from: 'config' };
}

/** The file itself for llama.cpp; for the rest of the program the model it was made from, as far as its header tells. */
async function fromGguf(path: string, context: LoadContext): Promise<ResolvedModel> {
  const { readGguf, specFromGguf } = await import('./read-gguf.ts');
  const { model, diagnostics } = readGguf(path, context);
  const { spec, diagnostics: ofSpec } = specFromGguf(model, basename(path));
  return { spec, gguf: model, diagnostics: [...diagnostics, ...ofSpec], from: 'gguf' };
}

/** config.json with whatever lies beside it: a second quantization file, and the tensors themselves. */
async function fromDirectory(directory: string, shown: string, context: LoadContext): Promise<ResolvedModel> {
  const configFile = join(directory, 'config.json');
  if (!existsSync(configFile)) {
    throw inputError('VRAM111', `${printable(shown)} holds no config.json`, { path: option });
  }
  const quantFile = join(directory, 'hf_quant_config.json');
  const label = shown.endsWith('config.json') ? shown : join(shown, 'config.json');
  const loaded = await specFromConfigText(readText(configFile, context, option), label, {
    id: basename(directory),
    ...(existsSync(quantFile) ? { quantText: readText(quantFile, context, option), quantFile } : {}),
  });
  const { readCheckpoint } = await import('./safetensors.ts');
  const checkpoint = readCheckpoint(directory, context, option);
  if (!checkpoint) return { ...loaded, from: 'config' };
  const diagnostics = [...loaded.diagnostics, ...(await checked(loaded.spec, checkpoint))];
  diagnostics.push(readNote(checkpoint));
  return { spec: loaded.spec, checkpoint, diagnostics, from: 'config' };
}

function readNote({ files, tensors, bytes }: Checkpoint): Diagnostic {
  const where = files.length === 1 ? files[0]! : `${files.length} files`;
  const message = `read the headers of ${printable(where)}: ${tensors.length} tensors, ${bytes} bytes`;
  return { severity: 'note', code: 'VRAM120', message, path: option };
}

/** A quantized checkpoint stores other tensors than the expansion lists; only 16-bit ones are compared by name. */
async function checked(spec: ModelSpec, checkpoint: Checkpoint): Promise<Diagnostic[]> {
  if (spec.quantization) return [];
  const [{ expandArchitecture, familyOf }, { compareCheckpoint }] = await Promise.all([
    import('../architecture/index.ts'),
    import('./checkpoint-check.ts'),
  ]);
  return familyOf(spec) ? compareCheckpoint(checkpoint, expandArchitecture(spec)) : [];
}

async function fromText(text: string, file: string): Promise<ResolvedModel> {
  const loaded: LoadedSpec = text.trimStart().startsWith('{')
    ? await specFromConfigText(text, file, { id: 'stdin' })
    : await specFromYaml(text, file);
  return { ...loaded, from: text.trimStart().startsWith('{') ? 'config' : 'spec' };
}

async function fromHub(repository: string, context: LoadContext): Promise<ResolvedModel> {
  const { readHubConfig } = await import('./hub.ts');
  const { text, quantText, label, name } = await readHubConfig(repository, context);
  const loaded = await specFromConfigText(text, label, { id: name, ...(quantText !== undefined ? { quantText } : {}) });
  loaded.spec.hfId = name;
  return { ...loaded, from: 'hub' };
}

function unknownModel(name: string): Error {
  const models = loadPresets('models');
  const names = models.flatMap((model) => [model.id, model.hfId ?? model.id, ...(model.aliases ?? [])]);
  const near = nearestNames(name, [...names, ...variantNames()]);
  const hints = near.length > 0 ? [`did you mean ${near.join(', ')}?`] : [];
  if (/^[\w.-]+\/[\w.-]+$/.test(name)) hints.push(`--model hf:${name} reads its configuration from the hub`);
  else hints.push('vram list models shows all; a config.json or a YAML spec works too');
  return inputError('VRAM104', `there is no model "${printable(name)}"`, { hint: hints.join('; '), path: option });
}
