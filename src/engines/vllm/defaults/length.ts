// max_model_len as the configuration gives it and as the user may set it (vLLM config/model.py _get_and_verify_max_len,
// transformers_utils/model_arch_config_convertor.py derive_max_model_len_and_key). Fitting it to memory is not done here.
import type { JsonObject, ModelConfig, ModelSpec, RopeConfig } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import type { Profile } from '../profile.ts';
import type { DefaultsRules } from './rules.ts';

export interface LengthResolution {
  maxModelLen: number;
  auto: boolean;
  error?: string;
}

/** The keys that state a length, in vLLM's order, in our spelling; the smallest wins. */
const lengthKeys = [
  ['maxPositionEmbeddings', 'max_position_embeddings'],
  ['nPositions', 'n_positions'],
  ['maxSeqLen', 'max_seq_len'],
  ['seqLength', 'seq_length'],
  ['modelMaxLength', 'model_max_length'],
  ['maxTargetPositions', 'max_target_positions'],
  ['maxSequenceLength', 'max_sequence_length'],
  ['maxSeqLength', 'max_seq_length'],
  ['seqLen', 'seq_len'],
] as const;

const assumedLength = 2048;
const neverScaled = new Set(['su', 'longrope', 'llama3']);
const yarns = new Set(['yarn', 'deepseek_yarn', 'deepseek_llama_scaling']);

export function resolveLength(
  options: EngineOptions,
  spec: ModelSpec,
  profile: Profile<DefaultsRules>,
): LengthResolution {
  const asked = options.maxModelLen;
  const { derived, key } = derivedLength(spec, profile);
  if (asked === undefined || asked === 'auto') {
    const auto = asked === 'auto' && profile['defaults.autoMaxModelLen'];
    return { maxModelLen: defaultLength(spec, derived, profile), auto };
  }
  if (key === undefined || asked <= derived) return { maxModelLen: asked, auto: false };
  const modelMaxLength = numberOf(spec.config.modelMaxLength);
  const allowed =
    (modelMaxLength !== undefined && asked <= modelMaxLength) || options.env?.VLLM_ALLOW_LONG_MAX_MODEL_LEN === '1';
  if (allowed) return { maxModelLen: asked, auto: false };
  return { maxModelLen: asked, auto: false, error: tooLong(asked, key, derived, modelMaxLength) };
}

/**
 * The smallest stated length, replaced by model_max_length where there is one, times the rope factor of the types that
 * leave max_position_embeddings unscaled; 2048 when nothing is stated.
 */
function derivedLength(spec: ModelSpec, profile: Profile<DefaultsRules>): { derived: number; key: string | undefined } {
  const { config } = spec;
  let derived = Number.POSITIVE_INFINITY;
  let key: string | undefined;
  for (const [name, printed] of lengthKeys) {
    const value = numberOf(config[name]);
    if (value === undefined || value >= derived) continue;
    derived = value;
    key = printed;
  }
  const modelMaxLength = numberOf(config.modelMaxLength);
  if (modelMaxLength) {
    derived = modelMaxLength;
    key = 'model_max_length';
  }
  if (key === undefined) return { derived: assumedLength, key };
  if (spec.modelType.includes('gemma3')) return { derived, key };
  let factor = 1;
  for (const rope of ropesOf(config)) {
    const type = rope.type ?? 'default';
    if (neverScaled.has(type)) continue;
    if (profile['defaults.maxModelLen'] === 'yarn-as-stated' && yarns.has(type)) continue;
    factor = rope.factor ?? factor;
    if (type === 'yarn' && rope.originalMaxPositionEmbeddings) derived = rope.originalMaxPositionEmbeddings;
  }
  return { derived: derived * factor, key };
}

/** longrope models start with the length they were trained at, to keep short sequences good. */
function defaultLength(spec: ModelSpec, derived: number, profile: Profile<DefaultsRules>): number {
  const { config } = spec;
  const longrope = ropesOf(config).some((rope) => rope.type === 'longrope');
  if (!longrope || !profile['defaults.longropeUsesOriginal']) return Math.trunc(derived);
  return numberOf(config.originalMaxPositionEmbeddings) ?? Math.trunc(derived);
}

/** Rope parameters, one per layer type where the configuration nests them. */
function ropesOf(config: ModelConfig): RopeConfig[] {
  const { rope } = config;
  if (!rope) return [];
  const nested = Object.values(rope).filter(
    (value): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value),
  );
  if (nested.length === 0) return [rope];
  return nested.map(
    (entry) => ({ ...entry, type: (entry.type ?? entry.ropeType) as string | undefined }) as RopeConfig,
  );
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function tooLong(asked: number, key: string, derived: number, modelMaxLength: number | undefined): string {
  return (
    `User-specified max_model_len (${asked}) is greater than the derived max_model_len (${key}=${pythonNumber(derived)} ` +
    `or model_max_length=${modelMaxLength ?? 'None'} in model's config.json). To allow overriding this maximum, set the ` +
    'env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1.'
  );
}

/** The derived length is a float in the engine once a factor was applied. */
function pythonNumber(value: number): string {
  return Number.isInteger(value) ? `${value}` : String(value);
}
