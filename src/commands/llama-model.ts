// The model of a llama.cpp plan: the tensors of a GGUF file, or what the converter and a quantization mix make of a configuration; the
// name of a published file that is not here stands for the model and the mix that it names.
import { existsSync } from 'node:fs';
import { applyMix } from '../accounting/gguf-mix/index.ts';
import { toGguf } from '../architecture/gguf/index.ts';
import { expandArchitecture } from '../architecture/index.ts';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { absolute } from '../load/context.ts';
import { readGgufName } from '../load/gguf-name.ts';
import { mixNamed } from '../load/mix-name.ts';
import { type ResolvedModel, resolveModel } from '../load/model.ts';
import { printable } from '../load/names.ts';
import type { GgufModel } from '../spec/gguf.ts';

/** A file or a preset; the name of a published GGUF file that is not here stands for the model and the mix it names. */
export async function llamaModel(
  ref: string,
  io: Io,
  diagnostics: Diagnostic[],
): Promise<{ resolved: ResolvedModel; mix?: string }> {
  const there = /\.gguf$/i.test(ref) && existsSync(absolute(ref, { env: io.env }));
  const name = there ? undefined : readGgufName(ref);
  if (!name) return { resolved: await resolveModel(ref, { env: io.env }) };
  const { preset, mix } = name;
  diagnostics.push({
    severity: 'note',
    code: 'VRAM117',
    message: `"${printable(ref)}" is not here: planned as ${preset}${mix ? ` in ${mix}` : ''}, by its name`,
    hint: 'the first megabytes of the file are enough for its own tensors',
    path: '--model',
  });
  return { resolved: await resolveModel(preset, { env: io.env }), ...(mix ? { mix } : {}) };
}

/**
 * The file's own description, or that of the configuration under the mix that -q names; with `drafts` its blocks of multi-token
 * prediction too, which not every published file has.
 */
export function ggufOf(
  { spec, gguf }: ResolvedModel,
  asked: string | undefined,
  diagnostics: Diagnostic[],
  drafts = false,
): { model: GgufModel; scheme: string } {
  if (gguf) {
    if (asked !== undefined)
      diagnostics.push({
        severity: 'note',
        code: 'VRAM163',
        message: `the file's own tensor types are planned, not ${printable(asked)}`,
        path: '--quantization',
      });
    return { model: gguf, scheme: fileScheme(gguf) };
  }
  const source = toGguf(spec, expandArchitecture(spec), drafts ? { drafts } : {});
  if (!source) {
    throw inputError('VRAM203', `llama.cpp has no architecture for ${printable(spec.architecture)}`, {
      hint: 'give the .gguf file itself, or plan it with --engine vllm',
      path: '--model',
    });
  }
  const wanted = asked === undefined || asked === 'none' ? plainType(spec.config.dtype) : asked;
  const mix = mixNamed(wanted);
  return { model: applyMix(source, mix), scheme: mix };
}

/** A 16-bit checkpoint stays what it is. */
function plainType(dtype: string | undefined): string {
  return dtype === 'bfloat16' ? 'bf16' : 'f16';
}

/** The type that holds most of the bytes. */
function fileScheme(model: GgufModel): string {
  const counts = new Map<string, number>();
  for (const { type, ne } of model.tensors) counts.set(type, (counts.get(type) ?? 0) + ne.reduce((a, b) => a * b, 1));
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'gguf';
}

/** What a command line names: the file, a repository, or a name for the file that the mix would make. */
export function servedFile(ref: string, { spec, gguf }: ResolvedModel, scheme: string): { model: string; hf: boolean } {
  if (gguf || /\.gguf$/i.test(ref)) return { model: ref, hf: false };
  if (/-gguf(?::[\w.-]+)?$/i.test(ref)) return { model: ref, hf: true };
  const name = (spec.hfId ?? spec.id).replace(/^.*\//, '');
  return { model: `./${name}-${scheme.toUpperCase()}.gguf`, hf: false };
}
