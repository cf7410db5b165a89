// The plain (squared ReLU) MLPs and experts of Nemotron: an up and a down matrix, no gate. With moe_latent_size the routed
// experts work on a projection of the hidden state that every rank holds whole. The router's correction bias is float32.
// vllm/model_executor/models/nemotron_h.py (NemotronHMLP, NemotronHMoE).
import type { ModelConfig } from '../../../spec/model.ts';
import { column, expert, linear, replicated, router, row, type Where } from '../../build.ts';
import type { TensorGroup } from '../../types.ts';
import { flagOf, numberOf } from './text.ts';

export function plainMlp(
  prefix: string,
  sizes: { hiddenSize: number; width: number; bias: boolean },
  where: Where,
  roles: readonly ['up', 'down'] | readonly ['shared-up', 'shared-down'] = ['up', 'down'],
): TensorGroup[] {
  const { hiddenSize, width, bias } = sizes;
  return [
    ...linear(`${prefix}.up_proj`, [width, hiddenSize], { ...where, role: roles[0], shard: column, bias }),
    ...linear(`${prefix}.down_proj`, [hiddenSize, width], { ...where, role: roles[1], shard: row, bias }),
  ];
}

export function relu2Experts(prefix: string, config: ModelConfig, where: Where): TensorGroup[] {
  const { hiddenSize, experts: count = 0 } = config;
  if (count === 0 || where.layers?.length === 0) return [];
  const bias = flagOf(config, 'mlpBias', false);
  const shared = numberOf(config, 'sharedExperts', 0) * numberOf(config, 'moeSharedExpertIntermediateSize', 0);
  const latent = config.moeLatentSize === undefined ? undefined : numberOf(config, 'moeLatentSize');
  const outer = { ...where, shard: replicated, bias } as const;
  return [
    ...router(`${prefix}.gate`, count, hiddenSize, where),
    {
      ...where,
      name: `${prefix}.gate.e_score_correction_bias`,
      shape: [count],
      role: 'router',
      shard: replicated,
      part: where.part ?? 'text',
      dtype: 'float32',
    },
    ...(shared > 0
      ? plainMlp(`${prefix}.shared_experts`, { hiddenSize, width: shared, bias }, where, ['shared-up', 'shared-down'])
      : []),
    ...(latent
      ? [
          ...linear(`${prefix}.fc1_latent_proj`, [latent, hiddenSize], { ...outer, role: 'other' }),
          ...linear(`${prefix}.fc2_latent_proj`, [hiddenSize, latent], { ...outer, role: 'other' }),
        ]
      : []),
    ...routed(`${prefix}.experts`, latent ?? hiddenSize, numberOf(config, 'moeIntermediateSize'), count, where),
  ];
}

function routed(prefix: string, input: number, width: number, count: number, where: Where): TensorGroup[] {
  const common = { ...where, experts: count };
  return [
    ...linear(`${prefix}.{expert}.up_proj`, [width, input], {
      ...common,
      role: 'expert-up',
      shard: expert(column),
      merge: `${prefix}.w13`,
    }),
    ...linear(`${prefix}.{expert}.down_proj`, [input, width], {
      ...common,
      role: 'expert-down',
      shard: expert(row),
      merge: `${prefix}.w2`,
    }),
  ];
}
