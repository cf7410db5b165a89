// What sits where, as `--placement` answers: per rank of vLLM its layers, heads, vocabulary rows and experts, per device of llama.cpp its
// blocks, each with bytes by role. Bytes sum to what the rank's or device's tensors take.
export const placementRoles = [
  'embedding',
  'head',
  'attention',
  'mlp',
  'experts',
  'state',
  'encoder',
  'draft',
  'replicated',
  'other',
] as const;
export type PlacementRole = (typeof placementRoles)[number];
export type RoleBytes = Partial<Record<PlacementRole, number>>;

/** `count` of `of`, from `first` on. */
export interface Share {
  first: number;
  count: number;
  of: number;
}

export interface RankPlacement {
  rank: number;
  gpu: string;
  stage: number;
  tensorRank: number;
  layers: Share;
  /** Query heads; null without attention. */
  heads: Share | null;
  /** KV heads, and how many ranks of the stage hold the same; null where the cache has no heads (MLA) or no attention is. */
  kvHeads: (Share & { copies: number }) | null;
  /** Which part of every sequence the rank caches, with decode-context parallelism. */
  contextShare: { index: number; of: number } | null;
  /** Vocabulary rows of the embedding and of the head on this rank; rows past the vocabulary are padding. */
  vocabulary: (Share & { padding: number; embedding: boolean; head: boolean }) | null;
  /** Routed experts of every mixture layer; cut experts are all of them. */
  experts: (Share & { cut: number }) | null;
  bytes: RoleBytes;
  tensorBytes: number;
}

export interface DevicePlacement {
  /** gpu0, gpu1, ..., host. */
  device: string;
  /** Ranges of blocks, both ends included. */
  blocks: [number, number][];
  output: boolean;
  /** Tensors that lie elsewhere than their block, by name without the number, with their blocks. */
  overrides: { tensors: string; blocks: [number, number][] }[];
  tensors: number;
  bytes: RoleBytes;
  /** What the tensors take by themselves; buffers pad some of them. */
  tensorBytes: number;
}

export interface PlacementPlan {
  ranks?: RankPlacement[];
  devices?: DevicePlacement[];
}
