// The rules of one vLLM release's scheduler, for the simulator: the entries `scheduler.*` and `offload.*` of its profile under
// their own names.
import type { Profile } from '../engines/vllm/profile.ts';
import type { PagedRules } from '../sim/paged/config.ts';
import type { SimSetup } from '../sim/setup.ts';

export function schedulerRules(profile: Profile): PagedRules {
  return { ...rulesNamed(profile, 'scheduler.'), offload: rulesNamed(profile, 'offload.') } as unknown as PagedRules;
}

function rulesNamed(profile: Profile, prefix: string): Record<string, unknown> {
  const rules: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(profile))
    if (name.startsWith(prefix)) rules[name.slice(prefix.length)] = value;
  return rules;
}

/** What the V0 engine of a release does in its own way; empty where the release has none, and V0 is the paper's. */
export function schedulerV0Rules(profile: Profile): SimSetup['v0'] {
  const rules = profile as Readonly<Record<string, unknown>>;
  if (rules['defaults.engine'] === 'v1') return {};
  const own = Object.entries(rules).filter(([name]) => name.startsWith('schedulerV0.'));
  return Object.fromEntries(own.map(([name, value]) => [name.slice('schedulerV0.'.length), value]));
}
