// The rules of presets/engines/vllm/memory.yaml: how a release turns a GPU's memory into room for the KV cache.

import type { AllReduceRule } from './all-reduce.ts';

/** How the room for the KV cache is computed; every name is a small function in available.ts. */
export type MemoryFormula =
  /** total x util - (free at start - free after profiling): the reserved peak counts. */
  | 'free-drop'
  /** requested - weights - torch peak increase - non-torch increase. */
  | 'weights-peak-nontorch'
  /** total x util - torch peak - all memory in use outside torch (context, NCCL, other processes). */
  | 'peak-plus-outside'
  /** As weights-peak-nontorch, less the CUDA-graph estimate. */
  | 'weights-peak-nontorch-graphs'
  /** requested - consumed (free at start - free after) - transient peak - CUDA-graph estimate. */
  | 'consumed-transient-graphs';

/** What the sampler of one runner keeps alive at its peak. */
export interface SamplerRule {
  /** Bytes per element of each [rows, vocabulary] tensor alive at the peak, for a 16-bit model. */
  logits: readonly number[];
  /** The same below `fewRows` rows, where another kernel runs. */
  fewRowsLogits?: readonly number[];
  fewRows?: number;
  /** The same for float32 models, whose logits need no float copy. */
  float32Logits?: readonly number[];
  /** [rows, hidden] tensors alive. */
  rowStates: number;
  /** The [tokens, hidden] output of the forward pass is still alive. */
  tokenStates: boolean;
  /** Scratch of the Triton top-k/top-p kernel is taken and kept. */
  scratch: boolean;
}

/** One line of a measured law: first match wins. Absent conditions hold for all. */
export interface MeasuredLaw {
  tensorParallel?: 'one' | 'many';
  pipelineParallel?: 'one' | 'many';
  link?: 'nvlink' | 'pcie';
  vendor?: string;
  integrated?: boolean;
  /** Major compute capability. */
  capability?: number;
  minTensorParallel?: number;
  dataParallel?: 'one' | 'many';
  lowMib: number;
  mib: number;
  highMib: number;
  /** On top, per layer of the stage. */
  perLayerKib?: number;
}

/** Memory that captured graphs take: a constant plus a part per layer and captured graph. */
export interface GraphPoolLaw {
  baseMib: number;
  /** Activations of the largest captured decode batch, shared by all graphs. */
  perCapturedTokenKib: number;
  perLayerGraphKib: number;
  /** Extra per mixture-of-experts layer and graph. */
  perExpertLayerGraphKib: number;
  lowFactor: number;
  highFactor: number;
}

export interface MemoryRules {
  'memory.formula': MemoryFormula;
  'memory.formulaV0': MemoryFormula;
  'memory.roundsRequestedUp': boolean;
  /** CUDA context in the baseline, outside the budget. */
  'memory.contextOutside': boolean;
  'memory.contextOutsideV0': boolean;
  /** NCCL initialised before the baseline, outside the budget. */
  'memory.communicationOutside': boolean;
  'memory.sampler': SamplerRule;
  'memory.samplerSecondRunner': SamplerRule;
  'memory.samplerV0': SamplerRule;
  'memory.samplerFlashInfer': SamplerRule | null;
  /** FlashInfer's sampler unless told otherwise (it must be installed). */
  'memory.flashInferSamplerAssumed': boolean;
  /** Sampling that speculation adds: rejection sampler on twice the rows. */
  'memory.samplerSpeculative': SamplerRule | null;
  'memory.cublasInBaseline': boolean;
  'memory.moeWorkspaceKept': boolean;
  /** Transient expert caches: gate-up and output share one buffer. */
  'memory.moeCachesShared': boolean;
  /** The profile run allocates the up-projected context of latent attention. */
  'memory.mlaPrefillSimulated': boolean;
  'memory.moeChunkTokens': number | null;
  /** Expert kernels of MXFP4 checkpoints without a workspace. */
  'memory.mxfp4WithoutWorkspace': boolean;
  'memory.encoderProfiled': boolean;
  'memory.encoderProfiledSecondRunner': boolean;
  'memory.encoderPadsToBudget': boolean;
  'memory.eagerHiddenStates': number;
  'memory.v0EagerHiddenStates': number;
  'memory.inputsEmbeds': boolean;
  /** Bytes per row and vocabulary entry of the second runner's sampling state. */
  'memory.samplerStatePerLogit': number;
  'memory.samplerStatePerRowKib': number;
  'memory.buffersCharged': boolean;
  'memory.graphEstimate': 'none' | 'logged' | 'subtracted';
  'memory.graphEstimateSecondRunner': 'none' | 'zero' | 'captured';
  'memory.graphEstimateOnAmd': boolean;
  /** Data-parallel replicas of a dense model start without a word to each other. */
  'memory.denseReplicasAlone': boolean;
  'memory.graphPool': GraphPoolLaw;
  /** Per token of a step, for models with recurrent layers. */
  'memory.stateGraphTransientKib': number;
  'memory.nonTorch': readonly MeasuredLaw[];
  'memory.nonTorchV0': readonly MeasuredLaw[];
  'memory.context': readonly MeasuredLaw[];
  'memory.communication': readonly MeasuredLaw[];
  'memory.allReduce': AllReduceRule | null;
  'memory.suggestionMarginMib': number | null;
  'memory.checksFreeMemory': boolean;
}
