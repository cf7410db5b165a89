// What a run among several is called: by what they differ in, the policy of the KV memory, the loading behaviour of the weights, or both.
import type { SharedVariant } from '../shared-output.ts';

/** What was asked to be run: every policy with every behaviour. */
export interface Compared {
  policies: readonly string[];
  loadings: readonly { id: string }[];
}

/** "kvcached", "kvcached, aegaeon", or "aegaeon" where all have one policy. */
export function variantName({ policy, loading }: SharedVariant, { policies, loadings }: Compared): string {
  if (loading === null || loadings.length < 2) return policy;
  return policies.length < 2 ? loading : `${policy}, ${loading}`;
}

export function isSameVariant(one: SharedVariant, other: SharedVariant): boolean {
  return one.policy === other.policy && one.loading === other.loading;
}
