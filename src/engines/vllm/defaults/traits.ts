// What kind of model the engine has before it, read from the expanded architecture and the class name: the distinctions by
// which vLLM's configuration code chooses defaults (config/model.py: runner_type, is_hybrid, is_attention_free, use_mla).
import { cacheSummary } from '../../../architecture/summary.ts';
import type { Architecture } from '../../../architecture/types.ts';
import type { ModelSpec } from '../../../spec/model.ts';

export interface ModelTraits {
  pooling: boolean;
  /** Encoder-only pooling models attend in both directions. */
  bidirectional: boolean;
  /** Whisper and BART class models; text decoders with cross-attention to images do not count in V1. */
  encoderDecoder: boolean;
  crossAttention: boolean;
  hybrid: boolean;
  attentionFree: boolean;
  moe: boolean;
  mla: boolean;
  multimodal: boolean;
  slidingWindow: boolean;
  quantized: boolean;
}

/**
 * vLLM config/model.py _SUFFIX_TO_DEFAULTS: these endings generate, the bare "...Model" and the classifiers pool. A repository
 * for sentence-transformers pools whatever its class (get_pooling_config).
 */
const generates = /(ForCausalLM|ForConditionalGeneration|ChatModel|LMHeadModel|ForCausalLMWithMTP)$/;
const pools = /(EmbeddingModel|ForSequenceClassification|ForTokenClassification|ForMaskedLM|RewardModel|Model)$/;
const encoderOnly =
  /^(Bert|Roberta|XLMRoberta|NomicBert|ModernBert|GteModel|GteNewModel|Snowflake|JinaRoberta|NewModel)/;

const attentionKinds = ['full', 'sliding', 'chunked', 'mla', 'special'] as const;

const known = new WeakMap<ModelSpec, Map<boolean, ModelTraits>>();

/** A model's traits do not change: sweeps ask for them twice a plan. */
export function traitsOf(spec: ModelSpec, architecture: Architecture, quantized: boolean): ModelTraits {
  let traits = known.get(spec);
  if (!traits) {
    traits = new Map();
    known.set(spec, traits);
  }
  let found = traits.get(quantized);
  if (!found) {
    found = readTraits(spec, architecture, quantized);
    traits.set(quantized, found);
  }
  return found;
}

function readTraits(spec: ModelSpec, architecture: Architecture, quantized: boolean): ModelTraits {
  const { kinds } = cacheSummary(architecture);
  const pooling = spec.task === 'embed' || (!generates.test(spec.architecture) && pools.test(spec.architecture));
  const state = kinds.has('state');
  const attends = attentionKinds.some((kind) => kinds.has(kind));
  return {
    pooling,
    bidirectional: pooling && encoderOnly.test(spec.architecture),
    encoderDecoder: kinds.has('cross') && spec.config.vision === undefined,
    crossAttention: kinds.has('cross'),
    hybrid: state && attends,
    attentionFree: architecture.attention === 'attention-free' || (state && !attends),
    moe: architecture.forward.moe !== undefined,
    mla: kinds.has('mla'),
    multimodal:
      (architecture.encoders?.length ?? 0) > 0 || spec.config.vision !== undefined || spec.config.audio !== undefined,
    slidingWindow: kinds.has('sliding'),
    quantized,
  };
}
