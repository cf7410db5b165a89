// What the residency of weights (residency.ts) needs of a shared run: room for a model's weights and engine, with the pages that go with
// it, and what moves when a model goes.
import type { Engine } from './engine.ts';
import type { SharedMemory } from './memory.ts';
import type { ResidencyHost } from './residency.ts';
import type { SharedModel, SharedRun } from './types.ts';

export function weightsHost(
  { policy, loading }: SharedRun,
  models: readonly SharedModel[],
  { ledger, tenants }: SharedMemory,
  engines: () => readonly Engine[] | undefined,
): ResidencyHost {
  const begun = new Set<number>();
  const isStatic = policy.kind === 'static';
  const keepsContext = loading?.keepsContext === true;
  // What comes and goes with the weights.
  const fixed = ({ weightsBytes, otherBytes, contextBytes, sliceBytes }: SharedModel): number =>
    weightsBytes + otherBytes - (keepsContext ? contextBytes : 0) + (isStatic ? sliceBytes : 0);
  const engine = (index: number): Engine | undefined => engines()?.[index];
  return {
    take(index) {
      const model = models[index] as SharedModel;
      const tenant = tenants[index];
      // Asked before anything is taken: what is given back counts as memory that came free, and would wake whoever waits for some.
      if (ledger.free(model.devices) < fixed(model) + (tenant?.entryBytes ?? 0)) return false;
      ledger.take(model.devices, fixed(model));
      if (begun.has(index)) tenant?.enter();
      else tenant?.begin();
      begun.add(index);
      return true;
    },
    giveBack(index) {
      const model = models[index] as SharedModel;
      const tenant = tenants[index];
      const isUsed = (engine(index)?.usedBlocks ?? 0) > 0;
      if (isUsed) tenant?.leave();
      else if (tenant) tenant.clear();
      else engine(index)?.paged?.kv.pool.reset();
      ledger.give(model.devices, fixed(model));
    },
    isIdle: (index) => engine(index)?.isIdle ?? true,
    kvBytes: (index) => (engine(index)?.usedBlocks ?? 0) * (models[index] as SharedModel).blockBytes,
    weightsBytes: (index) => (models[index] as SharedModel).weightsBytes,
  };
}
