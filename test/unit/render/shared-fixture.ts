// Several models on one GPU, made by hand, for the tests of what is printed about them: demand that peaks at different times, and
// what each policy would roughly make of it.
import { envelope } from '../../../src/plan/output.ts';
import type {
  NamedSharedModel,
  SharedModelBrief,
  SharedOutput,
  SharedPolicyResult,
} from '../../../src/plan/shared-output.ts';
import type { SharedPoint, SharedSummary } from '../../../src/sim/sharing/result.ts';
import { GiB } from '../../../src/units.ts';
import { input, run } from './simulate-fixture.ts';

export const policyIds = ['static', 'static-weights', 'static-load', 'expand', 'kvcached', 'muxserve', 'oracle'];

export interface Shape {
  models: readonly string[];
  policies: readonly string[];
  chosen: string;
  /** Models that come from host memory on the first request and go again. */
  onDemand: boolean;
  /** Every policy with each of them; none: as onDemand says. */
  loadings: readonly string[];
  points: number;
  finished: boolean;
}

const usual: Shape = {
  models: ['chat-8b', 'code-7b', 'embed-3b'],
  policies: policyIds,
  chosen: 'kvcached',
  onDemand: false,
  loadings: [],
  points: 240,
  finished: true,
};

export function shared(changes: Partial<Shape> = {}): SharedOutput {
  const shape = { ...usual, ...changes };
  const policies = shape.policies.flatMap((policy) =>
    loadingsOf(shape).map((loading) => ({ ...policyResult(policy, shape), loading })),
  );
  const chosen =
    policies.find(({ policy }) => policy === shape.chosen) ?? policies[0] ?? policyResult(shape.chosen, shape);
  return envelope(
    'simulate',
    inputOf(shape),
    {
      policy: chosen.policy,
      loading: chosen.loading,
      models: shape.models.map((id, i) => modelOf(id, chosen.models[i]!, chosen.policy, shape)),
      pool: chosen.pool,
      timeline: chosen.timeline,
      policies,
      refused: [],
      advice: policies.length > 1 ? advice(policies[0]!, chosen) : null,
    },
    [],
  );
}

function advice(
  against: SharedPolicyResult,
  { policy, loading, pool }: SharedPolicyResult,
): SharedOutput['result']['advice'] {
  return {
    policy,
    loading,
    figure: 'ttftSeconds.p99',
    value: pool.ttftSeconds.p99,
    against: { policy: against.policy, loading: against.loading, value: against.pool.ttftSeconds.p99 },
    because: `TTFT p99 is 2.10 s under ${policy} and 31.5 s under ${against.policy}, which strands 8.21 GiB while another model refuses`,
  };
}

/** What runs differ in beside their policies. */
function loadingsOf({ loadings, onDemand }: Shape): (string | null)[] {
  return loadings.length > 0 ? [...loadings] : [onDemand ? 'ollama' : null];
}

function inputOf(shape: Shape): SharedOutput['input'] {
  const { models, policies, chosen, onDemand } = shape;
  const loadings = loadingsOf(shape);
  return {
    pool: {
      file: 'examples/shared-gpu.yaml',
      name: null,
      policy: chosen,
      policies: [...policies],
      loading: loadings[0]!,
      loadings: loadings.flatMap((id) => (id === null ? [] : [{ id, name: id, summary: `what ${id} does` }])),
    },
    gpu: { name: 'NVIDIA A100 80GB', count: 1, totalBytes: 85_094_236_160 },
    models: models.map((id, i) => ({
      id,
      model: 'llama-3.1-8b',
      parameters: 8_030_261_248,
      quantization: 'bfloat16',
      engine: 'vllm@0.33.0',
      devices: [0],
      weights: onDemand ? 'host' : 'resident',
      priority: i,
      minBytes: 0,
      maxBytes: 40 * GiB,
      workload: { ...input.workload, requests: 6455, promptTokens: 7_453_956, outputTokens: 1_362_888 },
    })),
    seed: 0,
  };
}

const poolBytes = 36 * GiB;
const spanSeconds = 1740;

function policyResult(policy: string, shape: Shape): SharedPolicyResult {
  const fixed = policy.startsWith('static');
  const timeline = timelineOf(policy, shape);
  return {
    policy,
    loading: null,
    name: policy,
    summary: `what ${policy} does`,
    runs: policy !== 'expand' && policy !== 'oracle',
    pool: summary(fixed, policy, shape),
    models: shape.models.map((id, i) => brief(id, i, fixed, shape)),
    timeline,
  };
}

/** Bytes that model i would like to hold at a share of the time: peaks one after the other. */
function wanted(i: number, count: number, share: number): number {
  const peak = Math.max(0, Math.sin(2 * Math.PI * (share * 1.5 - i / count)));
  return (poolBytes / Math.max(1.6, count / 2.5)) * (0.08 + peak ** 2);
}

function timelineOf(policy: string, { models, onDemand, points }: Shape): SharedPoint[] {
  const count = models.length;
  return Array.from({ length: points }, (_, k) => {
    const share = k / points;
    const wants = models.map((_model, i) => wanted(i, count, share));
    const squeezed = Math.min(1, poolBytes / wants.reduce((a, b) => a + b, 0));
    return {
      t: share * spanSeconds,
      models: wants.map((want) => {
        const slice = poolBytes / count;
        const loaded = !onDemand || want > 0.2 * slice;
        const used = !loaded ? 0 : policy.startsWith('static') ? Math.min(want, slice) : want * squeezed;
        const mapped = policy.startsWith('static')
          ? slice
          : policy === 'oracle'
            ? used
            : Math.min(slice * 1.9, used * 1.12);
        return {
          weights: loaded ? (36 * GiB) / count : 0,
          mapped: Math.round(Math.max(used, loaded ? mapped : 0)),
          used: Math.round(used),
          waiting: loaded && want > used * 1.02 ? Math.round((want - used) / (GiB / 4)) : 0,
          running: Math.round(used / (GiB / 8)),
          refused: loaded && want > used * 1.02,
        };
      }),
    };
  });
}

function summary(fixed: boolean, policy: string, { models, onDemand, finished }: Shape): SharedSummary {
  const total = models.length * 6455;
  const none = { mean: 0, p50: 0, p90: 0, p99: 0 };
  return {
    poolBytes,
    tokenShare: fixed ? 0.312 : 0.4471,
    usedShare: fixed ? 0.318 : 0.4522,
    cachedShare: 0.05,
    mappedShare: fixed ? 1 : 0.5213,
    fragmentationBytes: fixed ? 24.5 * GiB : 2.48 * GiB,
    fragmentationShare: fixed ? 0.682 : 0.1326,
    strandedBytes: fixed ? 8.21 * GiB : 0.02 * GiB,
    strandedTimeShare: fixed ? 0.412 : 0.003,
    requests: { total, finished: finished ? total : 0, rejected: finished ? 0 : total },
    preemptions: fixed ? 1834 : 12,
    refusals: fixed ? 412_345 : 17,
    refusedSeconds: fixed ? 2345 : 12.3,
    maps: policy === 'kvcached' ? 12_345 : policy === 'expand' ? 831 : 0,
    unmaps: policy === 'kvcached' ? 12_211 : policy === 'expand' ? 790 : 0,
    mapSeconds: policy === 'kvcached' ? 6.17 : 0.41,
    unmapSeconds: 0.33,
    denied: fixed ? 0 : 31,
    loads: onDemand ? 17 : 0,
    unloads: onDemand ? 15 : 0,
    switches: onDemand ? 3 : 0,
    loadSeconds: onDemand ? 61.2 : 0,
    loadWaitSeconds: onDemand ? 937.5 : 0,
    ttftSeconds: finished ? { mean: 3.1, p50: fixed ? 1.23 : 0.412, p90: 8.4, p99: fixed ? 31.5 : 2.1 } : none,
    tpotSeconds: finished ? { mean: 0.03, p50: 0.0271, p90: 0.04, p99: fixed ? 0.112 : 0.0714 } : none,
    e2eSeconds: none,
    queueSeconds: none,
    sloAttainment: fixed ? 0.714 : 0.9871,
    fairness: fixed ? 0.812 : 0.9634,
    makespanSeconds: spanSeconds + 42,
    outputTokensPerSecond: 2311,
    busyShare: 0.812,
  };
}

function brief(id: string, i: number, fixed: boolean, { finished }: Shape): SharedModelBrief {
  return {
    id,
    requests: { total: 6455, finished: finished ? 6455 : 0, rejected: finished ? 0 : 6455 },
    preemptions: fixed ? 611 + i : 4,
    refusals: { count: fixed ? 137 : 5, seconds: fixed ? 781.7 : 4.1 },
    ttftP99Seconds: finished ? 2.1 + i : 0,
    tpotP99Seconds: finished ? 0.0714 : 0,
    sloAttainment: 0.98,
    relativeSpeed: 0.62,
    meanMappedBytes: 6.1 * GiB,
    peakMappedBytes: 19.4 * GiB,
  };
}

function modelOf(id: string, from: SharedModelBrief, policy: string, { onDemand, finished }: Shape): NamedSharedModel {
  const alone = run({ policy });
  const latency = (p99: number) => ({ mean: p99 / 5, p50: p99 / 9, p90: p99 / 2, p99 });
  return {
    ...alone,
    id,
    advice: [],
    requests: {
      ...from.requests,
      cut: 0,
      rejections: finished ? [] : [{ reason: 'longer than what the model may ever hold', count: 6455, first: 'r0' }],
    },
    latency: {
      ...alone.latency,
      ttftSeconds: latency(from.ttftP99Seconds),
      tpotSeconds: latency(from.tpotP99Seconds),
    },
    pages: {
      bytes: 2 ** 27,
      mapped: 4115,
      unmapped: 4070,
      mapSeconds: 2.05,
      unmapSeconds: 0.11,
      denied: 10,
      peakMapped: 152,
    },
    memoryBytes: {
      meanMapped: from.meanMappedBytes,
      peakMapped: from.peakMappedBytes,
      meanUsed: 5.4 * GiB,
      meanCached: 0,
      meanTokens: 5.3 * GiB,
    },
    refusals: from.refusals,
    loads: {
      fromHost: onDemand ? 5 : 0,
      fromDisk: onDemand ? 1 : 0,
      unloads: onDemand ? 5 : 0,
      switches: 0,
      seconds: onDemand ? 20.4 : 0,
      waitSeconds: onDemand ? 312.5 : 0,
    },
    slo: { attained: 6326, total: 6455, attainment: from.sloAttainment },
    relativeSpeed: from.relativeSpeed,
  };
}
