// Expands a model that came from outside once, before anything is computed with it: a key that a family misses, or one of the
// wrong type, is the user's to mend and is told as such. An architecture that no family knows is left to the caller.
import { expandArchitecture, familyOf } from '../architecture/index.ts';
import type { Architecture } from '../architecture/types.ts';
import { type InputError, inputError, isInputError } from '../diagnostics.ts';
import type { ModelSpec } from '../spec/model.ts';
import { printable } from './names.ts';

/** More elements than any model has: beyond it sums of bytes are no longer exact. */
const maxElements = 2 ** 47;

/** Throws InputError (VRAM122) when the configuration cannot be read as its family. */
export function checkExpansion(spec: ModelSpec, file: string): void {
  if (!familyOf(spec)) return;
  let architecture: Architecture;
  try {
    architecture = expandArchitecture(spec);
  } catch (error) {
    throw isInputError(error) ? error : refuse(spec, file, printable((error as Error).message));
  }
  const { tensors, ...rest } = architecture;
  let elements = 0;
  for (const { name, shape, layers = [0], experts = 1 } of tensors) {
    const size = shape.reduce((product, length) => product * length, 1);
    if (!shape.every((length) => Number.isSafeInteger(length) && length > 0))
      throw refuse(spec, file, `${printable(name)} would have the shape [${shape.map(String).join(', ')}]`);
    elements += size * layers.length * experts;
  }
  if (elements > maxElements) throw refuse(spec, file, `it would have ${elements.toPrecision(3)} elements`);
  const place = badNumber(rest, '');
  if (place !== undefined) throw refuse(spec, file, `${place} is no number`);
}

/** Path of a number that is none. */
function badNumber(value: unknown, path: string): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : path;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const bad = badNumber(inner, path === '' ? key : `${path}.${key}`);
    if (bad !== undefined) return bad;
  }
  return undefined;
}

function refuse(spec: ModelSpec, file: string, reason: string): InputError {
  const family = spec.assumedFamily ?? spec.architecture;
  return inputError('VRAM122', `the configuration cannot be read as ${printable(family)}: ${reason}`, {
    hint: 'a key is missing, or has a value that the architecture cannot have',
    path: printable(file, 300),
  });
}
