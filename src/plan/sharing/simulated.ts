// One policy of a shared simulation as it stands beside the others: its sums, and of every model the figures that policies differ in.
import type { SharedResult } from '../../sim/sharing/result.ts';
import type { LoadingPolicy, SharingPolicy } from '../../spec/sharing.ts';
import type { SharedPolicyResult } from '../shared-output.ts';

export function sharedOutputOf(
  { policy, loading }: { policy: SharingPolicy; loading?: LoadingPolicy },
  { pool, models, timeline }: SharedResult,
): SharedPolicyResult {
  return {
    policy: policy.id,
    loading: loading?.id ?? null,
    name: policy.name,
    summary: policy.summary,
    runs: policy.runs,
    pool,
    models: models.map((model) => ({
      id: model.id,
      requests: {
        total: model.requests.total,
        finished: model.requests.finished,
        rejected: model.requests.rejected,
      },
      preemptions: model.preemptions.recompute + model.preemptions.swap,
      refusals: model.refusals,
      ttftP99Seconds: model.latency.ttftSeconds.p99,
      tpotP99Seconds: model.latency.tpotSeconds.p99,
      sloAttainment: model.slo.attainment,
      relativeSpeed: model.relativeSpeed,
      meanMappedBytes: model.memoryBytes.meanMapped,
      peakMappedBytes: model.memoryBytes.peakMapped,
    })),
    timeline,
  };
}
