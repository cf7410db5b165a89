// What a plan refuses before it computes anything: values that no release takes, schemes nobody knows, an assumed family that
// the configuration cannot be read as, more free memory than there is. Each refusal names the option and what would do.
import { families, familyOf } from '../architecture/index.ts';
import { type Diagnostic, InputError, inputError } from '../diagnostics.ts';
import { type FlagEntry, findFlag } from '../engines/vllm/flags.ts';
import { checkExpansion } from '../load/check-expansion.ts';
import { sizeProblems } from '../load/check-sizes.ts';
import { nearestNames, printable } from '../load/names.ts';
import { loadPresets } from '../load/presets.ts';
import { parseSizes } from '../load/size.ts';
import { engineOptionTable, vllmName } from '../spec/engine-options.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { ModelSpec } from '../spec/model.ts';
import type { EngineOptions } from '../spec/options.ts';
import { findScheme, type QuantizationScheme, schemeOfCheckpoint } from '../spec/quantization.ts';
import type { Bytes } from '../units.ts';

/** The model as a member of the family that the user assumes, with a warning that nothing of it is known. */
export function assumedModel(spec: ModelSpec, family: string, diagnostics: Diagnostic[]): ModelSpec {
  const option = '--assume-architecture';
  const assumedFamily = [family, family.toLowerCase()].find((name) => Object.hasOwn(families, name));
  if (assumedFamily === undefined) {
    const near = nearestNames(family, Object.keys(families));
    throw inputError('VRAM165', `there is no architecture family "${printable(family)}"`, {
      hint: near.length > 0 ? `did you mean ${near.join(', ')}?` : 'name a model_type, e.g. llama, qwen3, mixtral',
      path: option,
    });
  }
  const problems = sizeProblems({ ...spec, modelType: assumedFamily }, spec.source ?? option);
  if (problems.length > 0) throw new InputError(problems);
  const assumed = { ...spec, assumedFamily };
  checkExpansion(assumed, spec.source ?? option);
  diagnostics.push({
    severity: 'warning',
    code: 'VRAM202',
    message: `${printable(spec.architecture)} is planned as if it were ${assumedFamily}: every figure is an estimate`,
    ...(familyOf(spec) ? { hint: 'this architecture is known: without the option the figures are better' } : {}),
    path: option,
  });
  return assumed;
}

/** The scheme asked for, else what the reference or the checkpoint says. */
export function schemeFor(
  asked: string | undefined,
  model: { spec: ModelSpec; scheme?: string },
  diagnostics: Diagnostic[],
): QuantizationScheme | undefined {
  const id = asked ?? model.scheme;
  const { quantization } = model.spec;
  const own = quantization ? schemeOfCheckpoint(quantization) : undefined;
  if (id === undefined) {
    if (quantization && !own) throw unknownMethod(model.spec, quantization.method);
    return own;
  }
  if (id === 'none') return undefined;
  const scheme = findScheme(loadPresets('quantizations'), id);
  if (!scheme && own?.method === id) return own;
  if (!scheme) throw unknownScheme(id, '--quantization');
  if (own && asked !== undefined && own.method !== scheme.method) {
    diagnostics.push({
      severity: 'note',
      code: 'VRAM163',
      message: `planned as ${scheme.id} instead of the checkpoint's own ${own.method}`,
      path: '--quantization',
    });
  }
  return scheme;
}

export function unknownScheme(id: string, path?: string): InputError {
  const ids = loadPresets('quantizations').flatMap((entry) => [entry.id, ...(entry.synonyms ?? [])]);
  const near = nearestNames(id, ids);
  const what = id.trim() === '' ? 'no quantization is given' : `there is no quantization "${printable(id)}"`;
  return inputError('VRAM162', what, {
    hint: near.length > 0 ? `did you mean ${near.join(', ')}? (vram list quantizations)` : `known: ${ids.join(', ')}`,
    ...(path === undefined ? {} : { path }),
  });
}

function unknownMethod(spec: ModelSpec, method: string): InputError {
  const what =
    method === 'unknown'
      ? 'quantization_config names no quant_method'
      : `quantization_config names the method "${printable(method)}", whose layout is not known here`;
  return inputError('VRAM166', what, {
    hint: 'say how it is stored with --quantization, e.g. --quantization w4a16 (vram list quantizations)',
    path: spec.source ?? '--model',
  });
}

/** A value that some release takes is planned (and warned of by the flags); one that none ever took is a mistake. */
export function checkChoices(options: Partial<EngineOptions>, flags: readonly FlagEntry[]): void {
  for (const entry of engineOptionTable) {
    const value = options[entry.key];
    const name = vllmName(entry);
    if (typeof value !== 'string' || entry.key === 'quantization' || entry.key === 'maxModelLen') continue;
    const known = everyChoice(findFlag(flags, name));
    const clean = printable(value, value.length) === value;
    if (clean && (known.length === 0 || known.includes(value))) continue;
    const near = nearestNames(value, known, 1)[0];
    throw inputError('VRAM145', `${name} does not take "${printable(value)}"`, {
      ...(known.length > 0 ? { hint: `${near ? `did you mean ${near}? ` : ''}It takes ${known.join(', ')}` } : {}),
      path: name,
    });
  }
}

function everyChoice(flag: FlagEntry | undefined): string[] {
  const changes = (flag?.changes ?? []).flatMap(({ choices = [], choicesAdded = [] }) => [...choices, ...choicesAdded]);
  return [...new Set([...(flag?.choices ?? []), ...changes])];
}

/** --free-memory: one size for all GPUs or one for each, none above what that GPU has. */
export function freeMemory(text: string, gpus: readonly GpuSpec[], count: number): Bytes[] {
  const option = '--free-memory';
  const sizes = parseSizes(text, option);
  if (sizes.length !== 1 && sizes.length !== count) {
    throw inputError('VRAM110', `${option} has ${sizes.length} sizes for ${count} GPU${count === 1 ? '' : 's'}`, {
      hint: 'give one size for all, or one for each',
      path: option,
    });
  }
  sizes.forEach((bytes, i) => {
    const gpu = gpus[i] ?? gpus[0]!;
    const total = Math.max(gpu.cudaTotalBytes, gpu.driverTotalBytes);
    if (bytes > total) {
      throw inputError('VRAM110', `${option} is more than the ${total} bytes that ${gpu.id} has`, { path: option });
    }
  });
  return sizes;
}
