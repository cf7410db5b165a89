// What a release makes of encoders' tensors: tables of positions that it splits like a vocabulary, classification heads that
// it keeps in float32. Law: vLLM model_executor/models/{bert,roberta,siglip}.py and config/model.py head_dtype, as presets/
// engines/vllm/weights-classes.yaml records it.
import type { TensorGroup } from '../../../architecture/types.ts';
import type { WeightRules } from './rules.ts';

/** The tensors as the class builds them; those of other models pass unchanged. */
export function encoderTensors(
  groups: readonly TensorGroup[],
  architecture: string,
  rules: Partial<WeightRules>,
): TensorGroup[] {
  const split = rules['weights.splitPositionTables']?.includes(architecture) ?? false;
  const float32 = rules['weights.classifierDtype'] === 'float32';
  return groups.map((group) => {
    if (split && isPositionTable(group)) return { ...group, shard: { by: 'vocabulary' } };
    if (float32 && /^classifier\./.test(group.name)) return { ...group, dtype: 'float32' };
    return group;
  });
}

function isPositionTable({ name, role }: TensorGroup): boolean {
  return role === 'position-embedding' || name.endsWith('.embeddings.position_embedding.weight');
}
