// The rules of one vLLM release's scheduler, for the simulator: the entries `scheduler.*` of its profile under their own names.
import type { Profile } from '../engines/vllm/profile.ts';
import type { PagedRules } from '../sim/paged/config.ts';

const prefix = 'scheduler.';

export function schedulerRules(profile: Profile): PagedRules {
  const rules: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(profile))
    if (name.startsWith(prefix)) rules[name.slice(prefix.length)] = value;
  return rules as unknown as PagedRules;
}
