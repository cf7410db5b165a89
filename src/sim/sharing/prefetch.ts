// Room for the model that is fetched while another computes: Aegaeon lays a GPU out as KV cache, model, prefetched model (aegaeon/worker.py,
// 1c3b110a), so that the cache of the one that computes is smaller by the weights of the next. Where too little cache would be left, nothing
// is fetched ahead (aegaeon/stage_engine.py, switch). The next model is not known here: room is made for the largest of the others.
import type { SharedModel, SharedRun } from './types.ts';

/** Least KV cache beside a prefetched model: 1024 blocks of 16 tokens, or one sequence of the full length (stage_engine.py). */
const leastTokens = 1024 * 16;

/** Where the loading behaviour fetches ahead, KV caches give up what that takes. */
export function withPrefetchRoom(run: SharedRun): SharedRun {
  const { loading, models, policy } = run;
  if (loading?.unloads !== 'busy' || loading.prefetch === 0) return run;
  return {
    ...run,
    models: models.map((model, index) => {
      const next = nextBytes(models, index);
      const kvBytes = policy.kind === 'static' ? model.sliceBytes : model.maxBytes;
      const blocks = Math.floor((kvBytes - next) / model.blockBytes);
      const { setup } = model.run;
      const { blockSize, maxModelLen } = setup.paged;
      if (next === 0 || !(blocks * blockSize >= Math.max(leastTokens, maxModelLen))) return model;
      if (policy.kind !== 'static') return { ...model, prefetchBytes: next, maxBytes: kvBytes - next };
      const smaller = { ...setup, paged: { ...setup.paged, numBlocks: blocks } };
      const sliceBytes = blocks * model.blockBytes;
      return { ...model, prefetchBytes: next, sliceBytes, run: { ...model.run, setup: smaller } };
    }),
  };
}

/** Weights, on one GPU, of the largest model that shares one with this. */
function nextBytes(models: readonly SharedModel[], index: number): number {
  const { devices } = models[index] as SharedModel;
  const others = models.filter((other, at) => at !== index && other.devices.some((device) => devices.includes(device)));
  return Math.max(0, ...others.map(({ weightsBytes }) => weightsBytes));
}
