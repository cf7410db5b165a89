// Loading behaviours (presets/loading/*.yaml), by their ids as a pool file or `vram show` names them, with the fields that a pool file
// states in place of the preset's. What a behaviour does is sim/sharing/residency.ts, not known here.
import { isDeepStrictEqual } from 'node:util';
import { inputError } from '../diagnostics.ts';
import type { PoolLoading } from '../spec/pool.ts';
import type { LoadingPolicy } from '../spec/sharing.ts';
import { namedPreset } from './named-preset.ts';
import { loadPresets } from './presets.ts';

/** A shipped behaviour: "llama.swap" is llama-swap. Throws InputError VRAM745. */
export function findLoading(ref: string, path?: string): LoadingPolicy {
  const words = { what: 'loading behaviour', several: 'behaviours', list: 'vram list loading' };
  return namedPreset(loadPresets('loading'), ref, { code: 'VRAM745', ...words, path });
}

/** What a pool file states: a behaviour, its fields, or both. Fields alone stand on `resident`, whose idle models go for others. */
export function resolveLoading({ preset: ref, id, ...fields }: PoolLoading, path?: string): LoadingPolicy {
  const preset: LoadingPolicy =
    ref === undefined
      ? { ...findLoading('resident'), id: 'own', name: 'as the file states', summary: own, unloads: 'idle-lru' }
      : findLoading(ref, path);
  const policy = { ...preset, ...fields, ...(id === undefined ? {} : { id }) };
  // A quantum goes with its kind; one that the preset brought along for another kind is nobody's wish.
  if (policy.unloads !== 'busy' && fields.quantumSeconds === undefined) policy.quantumSeconds = null;
  if ((policy.unloads === 'busy') === (policy.quantumSeconds !== null)) return policy;
  throw inputError(
    'VRAM746',
    policy.unloads === 'busy'
      ? `models that take turns need quantumSeconds: how long one computes before it is taken off`
      : `quantumSeconds is for models that take turns, and here unloads is ${policy.unloads}`,
    {
      hint: policy.unloads === 'busy' ? 'for example quantumSeconds: 4' : 'unloads: busy, or leave quantumSeconds out',
      ...(path === undefined ? {} : { path }),
    },
  );
}

/** Each once. Throws InputError VRAM747 where two that differ have one name. */
export function resolveLoadings(all: readonly PoolLoading[], path: string): LoadingPolicy[] {
  const found: LoadingPolicy[] = [];
  for (const [i, one] of all.entries()) {
    const place = all.length > 1 ? `${path}.${i}` : path;
    const policy = resolveLoading(one, place);
    const same = found.find(({ id }) => id === policy.id);
    if (same && !isDeepStrictEqual(same, policy))
      throw inputError('VRAM747', `two loading behaviours are called ${policy.id}`, {
        hint: 'give one of them an id of its own, e.g. { preset: ollama, id: ollama-1h, keepAliveSeconds: 3600 }',
        path: place,
      });
    if (!same) found.push(policy);
  }
  return found;
}

const own = 'Loads on the first request; the least recently used idle model goes where room is needed.';
