// Data parallelism as a plan shows it: the ranks and the cache of one replica, the requirement over all of them. How experts
// are spread over replicas is a matter of the weights. Law: vLLM v1/engine/core.py, fused_moe/config.py.
import type { Architecture } from '../../architecture/types.ts';
import type { Diagnostic } from '../../diagnostics.ts';
import type { ResolvedOptions } from './resolved.ts';

export function replicaNote(resolved: ResolvedOptions, { forward }: Architecture): Diagnostic[] {
  const { dataParallelSize: replicas, tensorParallelSize: tp, pipelineParallelSize: pp } = resolved;
  if (replicas === 1) return [];
  const ranks = tp * pp;
  const own = ranks === 1 ? 'one GPU' : `${ranks} GPUs`;
  const experts = forward.moe
    ? `; the experts are ${resolved.enableExpertParallel ? 'dealt out whole' : 'cut'} over all ${replicas * tp} GPUs of a stage`
    : '';
  return [
    {
      severity: 'note',
      code: 'VRAM515',
      message: `${replicas} replicas of ${own} each (${replicas * ranks} GPUs): memory, cache and start-up log are those of one, --context and --concurrency count over all${experts}`,
      path: '--data-parallel-size',
    },
  ];
}
