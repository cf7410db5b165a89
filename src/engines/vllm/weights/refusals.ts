// Combinations that a release refuses before any weight is made, with its own text. Law: vLLM config/model.py
// verify_with_parallel_config, config/vllm.py.
import type { WeightRules } from './rules.ts';
import { refuse, type WeightsInput } from './types.ts';

export function checkInput(input: WeightsInput): void {
  checkHeads(input);
  checkMethod(input);
}

function checkHeads({ spec, options }: WeightsInput): void {
  const tp = options.tensorParallelSize;
  const { heads } = spec.config;
  if (heads > 0 && heads % tp !== 0) {
    refuse(`Total number of attention heads (${heads}) must be divisible by tensor parallel size (${tp}).`);
  }
}

function checkMethod({ scheme, profile }: WeightsInput): void {
  if (!scheme) return;
  const rules = profile as Partial<WeightRules>;
  const gone = rules['weights.unknownMethods']?.[scheme.method];
  if (gone) refuse(gone);
  if (scheme.actOrder && rules['weights.refuseActOrder']) refuse(rules['weights.refuseActOrder']);
}
