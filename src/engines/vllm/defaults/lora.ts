// What a release says to adapters before it loads anything: ranks it knows, classes that take none, vocabularies too large for
// the slots of the head. Law: vLLM config/lora.py, v1/worker/lora_model_runner_mixin.py, lora/layers/logits_processor.py.
import type { ModelSpec } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import type { LoraRules } from '../memory/lora.ts';
import type { Profile } from '../profile.ts';

/** The text of the refusal, or undefined. */
export function loraRefusal(options: EngineOptions, spec: ModelSpec, profile: Profile): string | undefined {
  if (!options.enableLora) return undefined;
  const rules = profile as Partial<LoraRules>;
  const ranks = rules['lora.ranks'];
  const rank = options.maxLoraRank;
  if (ranks && rank !== undefined && !ranks.choices.includes(rank)) {
    return ranks.text.replace('{rank}', String(rank)).replace('{choices}', ranks.choices.join(', '));
  }
  if (rules['lora.refused']?.includes(spec.architecture)) {
    return `ValueError: ${spec.architecture} does not support LoRA yet.`;
  }
  const limit = rules['lora.vocabulary'];
  const vocabulary = spec.config.vocabSize + (rules['lora.extraTokens']?.tokens ?? 0);
  const hasHead = rules['lora.embeddings']?.includes(spec.architecture) === true;
  return limit && hasHead && vocabulary > limit.most ? limit.text : undefined;
}
