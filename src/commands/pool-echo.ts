// A model of a pool file as both commands tell of it: what was asked for, resolved.

import { parameterCount } from '../architecture/build.ts';
import { architectureOf } from '../engines/vllm/memo.ts';
import type { MemberEcho } from '../plan/sharing/output.ts';
import type { OpenMember } from './pool-open.ts';

export function memberEcho({ model, member, asked }: OpenMember): MemberEcho {
  const { spec, scheme, release, options } = member.request;
  return {
    id: model.id,
    model: spec.id,
    parameters: spec.parameters ?? parameterCount(architectureOf(asked.base.spec).tensors, 'text'),
    quantization: scheme?.id ?? options.dtype ?? spec.config.dtype ?? 'auto',
    engine: `vLLM ${release}`,
    devices: [...member.devices],
    weights: model.weights,
    priority: model.priority,
    minBytes: model.minBytes,
    maxBytes: model.maxBytes,
  };
}
