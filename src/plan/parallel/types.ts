// Layouts of one deployment over several GPUs, as `--auto-parallel` answers: what fits with its capacity, speed and traffic, what does
// not with its reason.

export const layoutGoals = ['capacity', 'latency', 'communication'] as const;
export type LayoutGoal = (typeof layoutGoals)[number];

export interface Layout {
  tensorParallelSize: number;
  pipelineParallelSize: number;
  dataParallelSize: number;
  decodeContextParallelSize: number;
  enableExpertParallel: boolean;
}

/** Bytes that one rank sends for one generated token, on the stage where it sends most. Derived, not measured. */
export interface Communication {
  bytesPerToken: number;
  /** All ranks of a replica together. */
  replicaBytesPerToken: number;
  /** Sums over tensor-parallel ranks, the vocabulary's among them. */
  tensorBytes: number;
  /** Hidden states handed to the next stage. */
  pipelineBytes: number;
  /** Tokens brought to experts of other replicas, and back. */
  expertBytes: number;
  /** Queries and outputs of ranks that share one sequence. */
  contextBytes: number;
}

export interface LayoutRow {
  /** tp4 pp2: sizes above one, ep for expert parallelism. */
  layout: string;
  tp: number;
  pp: number;
  dp: number;
  dcp: number;
  ep: boolean;
  gpus: number;
  /** Of all replicas together. */
  kvTokens: number;
  /** Sequences of the context that the deployment holds. */
  sequences: number;
  /** What the tightest GPU has left for more than was asked. */
  headroomBytes: number;
  communication: Communication;
  /** One sequence alone; null where the speed of the device is not known. */
  ttftSeconds: number | null;
  tpotSeconds: number | null;
  /** One request of the shape, with as many beside it as were asked for. */
  requestSeconds: number | null;
  decodeTokensPerSecond: number | null;
}

export type RejectedKind = 'engine' | 'memory' | 'requirement';

export interface RejectedLayout {
  layout: string;
  kind: RejectedKind;
  /** The engine's own words, or what is short. */
  reason: string;
  shortfallBytes?: number;
}

export interface LayoutsPlan {
  gpus: number;
  goal: LayoutGoal;
  /** The layout that the plan beside this is for; null: none fits, and the plan is for what was asked. */
  chosen: string | null;
  context: number;
  shape: { concurrency: number; promptTokens: number; outputTokens: number };
  /** Best first, by the goal. */
  ranked: LayoutRow[];
  rejected: RejectedLayout[];
  /** Names of the layouts, best first; by latency those whose speed is known. */
  byCapacity: string[];
  byLatency: string[];
  byCommunication: string[];
}
