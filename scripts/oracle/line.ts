// A line of a file in the format vram-vllm-oracle/1, as far as it is judged.
export interface OracleLine {
  id: string;
  /** vllm@VERSION. */
  engine: string;
  /** Id of a model preset. */
  model: string;
  /** Compute capability of the GPU. */
  capability: string;
  tp: number;
  pp: number;
  dp?: number;
  ep: boolean;
  /** Scheme id; null: as the checkpoint says. */
  quantization: string | null;
  flags?: Record<string, unknown>;
  /** Environment that the release ran with. */
  env?: Record<string, string>;
  resolved?: { architecture: string };
  rank?: number | null;
  stage?: number | null;
  weights?: { constructed: { total: number }; afterProcessing: { total: number } | 'same' | null };
  pools?: OraclePool[];
  error?: string;
}

export interface OraclePool {
  availableBytes: number;
  maxModelLen: number;
  numBlocks?: number;
  tokens?: number;
  concurrency?: number;
  /** The release refuses this pool. */
  error?: string;
}
