// The JSON envelope of `vram simulate --pool`: what was asked (resolved), the models under the policy that was chosen, every policy
// side by side, and which one to take. Renderers format it and never compute.
import type { SharedModelResult, SharedPoint, SharedSummary } from '../sim/sharing/result.ts';
import type { Envelope } from './output.ts';
import type { MemberEcho } from './sharing/output.ts';
import type { Settings, WorkloadEcho } from './simulate-output.ts';

export interface SharedModelEcho extends MemberEcho {
  workload: WorkloadEcho;
}

interface SharedInputEcho {
  pool: {
    file: string;
    name: string | null;
    /** The chosen ones, and all that were run with each other. */
    policy: string;
    policies: string[];
    loading: string | null;
    loadings: { id: string; name: string; summary: string }[];
  };
  gpu: { name: string; count: number; totalBytes: number };
  models: SharedModelEcho[];
  seed: number;
}

/** The fields of a run alone, byte for byte, and what sharing adds. */
export interface NamedSharedModel extends SharedModelResult {
  policy: string;
  settings: Settings;
  eviction: string;
  advice: [];
}

/** The highest multiple of the file's load at which so many of all requests hold their model's objective. */
export interface SharedMaxRate {
  sloAttainment: number;
  /** null: none of those tried does. */
  scale: number | null;
  /** Of all models together. */
  requestsPerSecond: number | null;
  /** The lowest tried that does not; null when every one does. */
  failsAtScale: number | null;
  trials: { scale: number; sloAttainment: number; holds: boolean }[];
}

/** One run among those compared: the policy of the memory, and when weights come and go (null: all stay). */
export interface SharedVariant {
  policy: string;
  loading: string | null;
}

export interface SharedPolicyResult extends SharedVariant {
  name: string;
  summary: string;
  /** False: a bound or a proposal that no engine runs. */
  runs: boolean;
  pool: SharedSummary;
  models: SharedModelBrief[];
  timeline: SharedPoint[];
  /** --find-max-rate. */
  maxRate?: SharedMaxRate;
}

export interface SharedModelBrief {
  id: string;
  requests: { total: number; finished: number; rejected: number };
  preemptions: number;
  refusals: { count: number; seconds: number };
  ttftP99Seconds: number;
  tpotP99Seconds: number;
  sloAttainment: number;
  relativeSpeed: number;
  meanMappedBytes: number;
  peakMappedBytes: number;
}

/** The run to go by. */
export interface SharedAdvice extends SharedVariant {
  /** Path of the figure in `pool` that decided, its value there and in the run compared with. */
  figure: string;
  value: number;
  against: SharedVariant & { value: number };
  /** One sentence with both figures. */
  because: string;
}

/** `policy` and `loading`: those that models, pool and timeline are of. */
export interface SharedResultOutput extends SharedVariant {
  models: NamedSharedModel[];
  /** null: no engine would start under any policy. */
  pool: SharedSummary | null;
  timeline: SharedPoint[];
  policies: SharedPolicyResult[];
  refused: (SharedVariant & { reason: string })[];
  advice: SharedAdvice | null;
}

export type SharedOutput = Envelope<'simulate', SharedInputEcho, SharedResultOutput>;
