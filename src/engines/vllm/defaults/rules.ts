// The rules of presets/engines/vllm/defaults.yaml: what a release makes of options that the user left out.

export interface BatchTier {
  /** Device memory as the driver reports it, GiB, from which the tier holds. */
  fromGib: number;
  batchedTokens: number;
  sequences: number;
  /** Devices that take a lower tier all the same. */
  unlessNameContains?: string;
  unlessCapability?: string;
}

/** Which models run on the second model runner of V1. */
export interface SecondRunnerRule {
  scope: 'none' | 'listed' | 'dense-generate' | 'all';
  architectures?: readonly string[];
  /** Listed classes only when dense and unquantized. */
  denseUnquantizedOnly?: boolean;
  /** The user may ask for it by environment variable. */
  byEnvironment?: boolean;
}

export interface CaptureRule {
  /** v0: batch sizes up to the first that covers max_num_seqs; fixed: up to 512; sequences: up to twice max_num_seqs. */
  kind: 'v0' | 'fixed' | 'sequences';
  /** Step from 256 on. */
  stepAbove256: 8 | 16;
  /** Ceiling; 512 unless the device is a data-center Blackwell. */
  ceiling: number;
  blackwellCeiling: number;
  /** Speculative tokens widen the decode batch. */
  speculation: boolean;
  /** max_num_batched_tokens itself is captured when it fits below the ceiling. */
  includesBatchedTokens: boolean;
}

export interface DefaultsRules {
  'defaults.engine': 'v0' | 'v1-or-v0' | 'v1';
  'defaults.v0Reasons': readonly string[];
  'defaults.secondRunner': SecondRunnerRule;
  'defaults.gpuMemoryUtilization': number;
  'defaults.float32Becomes': 'float16' | 'bfloat16';
  'defaults.bfloat16OnOldGpu': 'refused' | 'float16';
  'defaults.maxModelLen': 'yarn-from-original' | 'yarn-as-stated';
  'defaults.autoMaxModelLen': boolean;
  'defaults.longropeUsesOriginal': boolean;
  'defaults.batchTiers': readonly BatchTier[];
  'defaults.integratedCountsAsSmall': boolean;
  'defaults.v0ChunkedTokens': number;
  'defaults.v0MultimodalTokens': number;
  'defaults.tokensClippedToSequences': boolean;
  'defaults.sequencesClippedToTokens': boolean;
  'defaults.prefixLmRaisesTokens': boolean;
  'defaults.hybridPrefixCaching': boolean;
  'defaults.statePrefixMode': 'unsupported' | 'all-only' | 'all-or-align' | 'align-with-speculation' | 'align';
  'defaults.allModeArchitectures': readonly string[];
  'defaults.asyncScheduling': boolean;
  'defaults.asyncWithPipeline': boolean;
  'defaults.cudagraphMode': 'FULL_DECODE_ONLY' | 'PIECEWISE' | 'FULL_AND_PIECEWISE';
  'defaults.hybridCudagraphMode': 'FULL_DECODE_ONLY' | 'PIECEWISE' | 'FULL_AND_PIECEWISE';
  'defaults.captureSizes': CaptureRule;
  'defaults.widerCapture': readonly { architecture: string; max: number }[];
  'defaults.kvDtypeFromCheckpoint': boolean;
  'defaults.prefixLmModelTypes': readonly string[];
  /** --performance-mode exists. */
  'defaults.performanceModes': boolean;
  'defaults.maxLoras': number;
  'defaults.maxLoraRank': number;
}
