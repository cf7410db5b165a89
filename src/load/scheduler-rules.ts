// The rules of one vLLM release's scheduler, for the simulator: the entries `scheduler.*` and `offload.*` of its profile under
// their own names.
import type { Profile } from '../engines/vllm/profile.ts';
import type { PagedRules } from '../sim/paged/config.ts';

export function schedulerRules(profile: Profile): PagedRules {
  return { ...rulesNamed(profile, 'scheduler.'), offload: rulesNamed(profile, 'offload.') } as unknown as PagedRules;
}

function rulesNamed(profile: Profile, prefix: string): Record<string, unknown> {
  const rules: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(profile))
    if (name.startsWith(prefix)) rules[name.slice(prefix.length)] = value;
  return rules;
}
