// A recipe as a person reads it: tensors summed up by role and type, the choices in the order of the model, then what has none.
import type { RecipeGroup } from './types.ts';

/** One tensor, or several of one layer. */
export interface GroupEntry extends Omit<RecipeGroup, 'layers'> {
  layer?: number | undefined;
}

export function groupsOf(entries: Iterable<GroupEntry>): RecipeGroup[] {
  const members = new Map<string, GroupEntry[]>();
  const places = new Map<string, number>();
  for (const entry of entries) {
    const key = `${entry.fixed} ${entry.role} ${entry.type}`;
    const known = members.get(key);
    if (known) known.push(entry);
    else members.set(key, [entry]);
    if (!places.has(placeOf(entry))) places.set(placeOf(entry), places.size);
  }
  const groups = [...members.values()].map(sumUp);
  return groups.sort(
    (a, b) =>
      Number(a.fixed) - Number(b.fixed) ||
      places.get(placeOf(a))! - places.get(placeOf(b))! ||
      b.bytes / b.parameters - a.bytes / a.parameters,
  );
}

function placeOf({ fixed, role }: Pick<RecipeGroup, 'fixed' | 'role'>): string {
  return `${fixed} ${role}`;
}

function sumUp(entries: readonly GroupEntry[]): RecipeGroup {
  const sum = (value: (entry: GroupEntry) => number): number =>
    entries.reduce((total, entry) => total + value(entry), 0);
  const layers = new Set(entries.flatMap(({ layer }) => (layer === undefined ? [] : [layer])));
  const { role, type, fixed } = entries[0]!;
  const parameters = sum((entry) => entry.parameters);
  return {
    role,
    layers: [...layers].sort((a, b) => a - b),
    type,
    tensors: sum((entry) => entry.tensors),
    parameters,
    bytes: sum((entry) => entry.bytes),
    sensitivity: sum((entry) => entry.sensitivity * entry.parameters) / parameters,
    fixed,
  };
}
