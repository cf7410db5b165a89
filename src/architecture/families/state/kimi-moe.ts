// The mixture of experts of Kimi-Linear and Kimi-K3: a router with a float32 correction bias, shared experts, and routed
// experts that K3 runs on a projection of the hidden state. vllm/models/kimi_k3/nvidia/model.py KimiMoE (0.33).
import type { ModelConfig } from '../../../spec/model.ts';
import { experts, gatedMlp, linear, norm, replicated, router, type Where } from '../../build.ts';
import type { TensorGroup } from '../../types.ts';
import { flagOf, numberOf } from './text.ts';

export function kimiExperts(prefix: string, config: ModelConfig, where: Where): TensorGroup[] {
  const { hiddenSize, experts: count = 0 } = config;
  if (count === 0 || where.layers?.length === 0) return [];
  const width = numberOf(config, 'moeIntermediateSize');
  const shared = numberOf(config, 'sharedExperts', 0) * width;
  const latent = config.routedExpertHiddenSize === undefined ? undefined : numberOf(config, 'routedExpertHiddenSize');
  const bias: TensorGroup = {
    ...where,
    name: `${prefix}.gate.e_score_correction_bias`,
    shape: [count],
    role: 'router',
    shard: replicated,
    part: where.part ?? 'text',
    dtype: 'float32',
  };
  const routed = experts(
    `${prefix}.experts`,
    { hiddenSize: latent ?? hiddenSize, intermediateSize: width, experts: count },
    { ...where, names: { gate: 'w1', up: 'w3', down: 'w2' } },
  );
  return [
    ...router(`${prefix}.gate`, count, hiddenSize, where),
    bias,
    ...(shared > 0
      ? gatedMlp(`${prefix}.shared_experts`, hiddenSize, shared, {
          ...where,
          roles: ['shared-gate', 'shared-up', 'shared-down'],
        })
      : []),
    ...(latent ? latentProjections(prefix, config, latent, where) : []),
    ...routed,
  ];
}

function latentProjections(prefix: string, config: ModelConfig, latent: number, where: Where): TensorGroup[] {
  const { hiddenSize } = config;
  const whole = { ...where, role: 'other', shard: replicated } as const;
  return [
    ...linear(`${prefix}.routed_expert_down_proj`, [latent, hiddenSize], whole),
    ...(flagOf(config, 'latentMoeUseNorm', false) ? norm(`${prefix}.routed_expert_norm`, latent, where) : []),
    ...linear(`${prefix}.routed_expert_up_proj`, [hiddenSize, latent], whole),
  ];
}
