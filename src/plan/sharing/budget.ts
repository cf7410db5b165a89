// What every model of a pool gets under every policy, and what sharing adds to a static split. Pure arithmetic over the plans of the
// engines; how they behave under load is the simulator's.
import type { SharingPolicy } from '../../spec/sharing.ts';
import { sum } from '../../units.ts';
import { needsOf } from './needs.ts';
import { pooledBudget, roomBytes } from './shared.ts';
import { staticBudget } from './static.ts';
import type { EngineStart, PoolInput, PoolPlan, SharedBudget, SharingGain } from './types.ts';

export interface PoolBudgets {
  plan: PoolPlan;
  /** By policy, in the order of `plan.policies`: the engines as it starts them, and bytes of each GPU for processes and KV. */
  starts: { policy: SharingPolicy; engines: EngineStart[]; deviceBytes: number[] }[];
}

/** The first policy is the chosen one. */
export function planPool(input: PoolInput, policies: readonly SharingPolicy[]): PoolBudgets {
  const { needs, common } = needsOf(input);
  const made = policies.map((policy) => ({
    policy,
    ...(policy.kind === 'static' ? staticBudget(input, needs, policy) : pooledBudget(input, needs, policy)),
  }));
  // The first split whose engines all start; the first one where none does.
  const splits = made.filter(({ policy }) => policy.kind === 'static').map(({ budget }) => budget);
  const slices = splits.find(({ fits }) => fits) ?? splits[0];
  for (const { budget } of made) if (slices && budget.kind !== 'static') budget.adds = gain(budget, slices);
  return {
    plan: {
      policy: policies[0]!.id,
      policies: made.map(({ budget }) => budget),
      common: common.filter(({ savedBytes }) => savedBytes > 0),
      adapters: needs.flatMap(({ member, gpus }) => {
        const bytes = sum(
          gpus.flatMap(({ items }) => items.filter(({ id }) => id === 'lora')).map((item) => item.bytes),
        );
        const adapters = member.request.options.maxLoras ?? 0;
        return member.request.options.enableLora ? [{ id: member.id, adapters, bytes }] : [];
      }),
    },
    starts: made.map(({ policy, starts: engines }) => ({
      policy,
      engines,
      deviceBytes: input.gpus.map((gpu, index) =>
        policy.kind === 'static' ? gpu.cudaTotalBytes : roomBytes(input, needs, policy, index),
      ),
    })),
  };
}

/** Tokens that one busy model can hold while the others keep their minimum, against its slice. */
function gain({ models, kvBytes }: SharedBudget, slices: SharedBudget): SharingGain {
  return {
    against: slices.policy,
    slicesBytes: slices.kvBytes,
    poolBytes: kvBytes,
    models: models.map(({ id, kvTokens }, i) => {
      const sliceTokens = slices.models[i]!.kvTokens;
      return { id, sliceTokens, tokens: kvTokens, factor: sliceTokens > 0 ? kvTokens / sliceTokens : null };
    }),
  };
}
