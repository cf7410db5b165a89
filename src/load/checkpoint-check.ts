// Holds the tensors of a real checkpoint against the list that the architecture expands to: what is missing, what is extra,
// what has another shape. A difference is reported, never hidden; the plan then says which of the two it counts.
import type { Architecture, TensorGroup } from '../architecture/types.ts';
import type { Diagnostic } from '../diagnostics.ts';
import { printable } from './names.ts';
import type { Checkpoint } from './safetensors.ts';

/** Diagnostics, none when every tensor of the 16-bit checkpoint is as expanded. */
export function compareCheckpoint(checkpoint: Checkpoint, architecture: Architecture): Diagnostic[] {
  const expected = new Map<string, TensorGroup>();
  for (const group of architecture.tensors) for (const name of namesOf(group)) expected.set(name, group);
  const extra: string[] = [];
  const reshaped: string[] = [];
  for (const tensor of checkpoint.tensors) {
    const group = expected.get(tensor.name);
    if (!group) {
      extra.push(tensor.name);
      continue;
    }
    expected.delete(tensor.name);
    const wanted = group.transposed ? [...group.shape].reverse() : group.shape;
    if (String(wanted) !== String(tensor.shape)) {
      reshaped.push(`${tensor.name} is [${tensor.shape}], expected [${wanted}]`);
    }
  }
  const missing = [...expected].filter(([, group]) => !group.buffer).map(([name]) => name);
  return [
    ...report('does not have the shape its configuration says', reshaped),
    ...report('is in the configuration but not in the files', missing),
    ...report('is in the files but not in the configuration', extra),
  ];
}

function report(what: string, names: readonly string[]): Diagnostic[] {
  if (names.length === 0) return [];
  const count = names.length === 1 ? 'a tensor' : `${names.length} tensors, the first of which`;
  const message = `${count} ${what}: ${printable(names[0]!, 200)}`;
  return [{ severity: 'warning', code: 'VRAM118', message, path: '--model' }];
}

function* namesOf(group: TensorGroup): Generator<string> {
  for (const layer of group.layers ?? [undefined]) {
    const named = layer === undefined ? group.name : group.name.replaceAll('{layer}', String(layer));
    if (group.experts === undefined) yield named;
    else for (let expert = 0; expert < group.experts; expert++) yield named.replaceAll('{expert}', String(expert));
  }
}
