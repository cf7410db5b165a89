// Policies by which several models share a GPU (presets/sharing/*.yaml), by their ids as a pool file or `vram show` names them, and with
// the parameters that a pool file states in place of the preset's. What a policy does is sim/sharing's, not known here.
import { type InputError, inputError } from '../diagnostics.ts';
import type { SharingPolicy } from '../spec/sharing.ts';
import { namedPreset } from './named-preset.ts';
import { looseKey, nearestNames, printable } from './names.ts';
import { loadPresets } from './presets.ts';

/** Parameters in place of a preset's, by name; those of a nested field with a dot (`mapSeconds.perPage`). */
type SharingOverrides = Readonly<Record<string, number | string | null>>;

/** A shipped policy: "KVCached" is kvcached. Throws InputError VRAM740. */
export function findSharing(ref: string, path?: string): SharingPolicy {
  const words = { what: 'sharing policy', several: 'policies', list: 'vram list sharing' };
  const all = { hint: 'compare: all puts every policy beside the one that is chosen' };
  const hint = looseKey(ref) === 'all' ? all : {};
  return namedPreset(loadPresets('sharing'), ref, { code: 'VRAM740', ...words, path, ...hint });
}

/** A shipped policy with other parameters; what it is called and where it comes from stays. Throws InputError VRAM740, VRAM741. */
export async function resolveSharing(
  ref: string,
  overrides: SharingOverrides = {},
  path?: string,
): Promise<SharingPolicy> {
  const preset = findSharing(ref, path);
  const names = Object.keys(overrides);
  if (names.length === 0) return preset;
  const known = parametersOf(preset);
  for (const name of names) if (!known.includes(name)) throw unknownParameter(preset, name, known, path);
  const { sharingSchema } = await import('../spec/sharing-schema.ts');
  const checked = sharingSchema.safeParse(overridden(preset, overrides));
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  throw inputError('VRAM741', `${preset.id}: ${issue!.path.join('.')}: ${issue!.message}`, {
    hint: `parameters of ${preset.id}: ${known.join(', ')} (vram schema sharing)`,
    ...(path === undefined ? {} : { path }),
  });
}

const described: readonly string[] = ['id', 'name', 'summary', 'kind', 'runs', 'sources', 'notes'];

/** Names of what may be stated anew: every field but those that describe it. */
function parametersOf(policy: SharingPolicy): string[] {
  return Object.entries(policy)
    .filter(([field]) => !described.includes(field))
    .flatMap(([field, value]) => (isFields(value) ? Object.keys(value).map((inner) => `${field}.${inner}`) : [field]));
}

function overridden(preset: SharingPolicy, overrides: SharingOverrides): Record<string, unknown> {
  const policy: Record<string, unknown> = { ...preset };
  for (const [name, value] of Object.entries(overrides)) {
    const [field, inner] = name.split('.') as [string, string?];
    policy[field] = inner === undefined ? value : { ...(policy[field] as object), [inner]: value };
  }
  return policy;
}

function unknownParameter(policy: SharingPolicy, name: string, known: readonly string[], path?: string): InputError {
  const near = nearestNames(name, known, 1)[0];
  const all = known.length === 0 ? `${policy.id} has none` : `parameters of ${policy.id}: ${known.join(', ')}`;
  return inputError('VRAM741', `${policy.id} has no parameter ${JSON.stringify(printable(name))}`, {
    hint: near ? `did you mean ${near}? (vram show sharing ${policy.id})` : all,
    ...(path === undefined ? {} : { path }),
  });
}

function isFields(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
