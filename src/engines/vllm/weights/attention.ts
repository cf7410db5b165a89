// What attention layers hold besides their matrices: float32 scales and bounds, and the absorbed matrices of MLA. Law: vLLM
// attention/layer.py (model_executor/layers/attention/), v1/attention/backends/mla/common.py.
import type { Architecture } from '../../../architecture/types.ts';
import { dtypeBytes } from '../resolved.ts';
import { isQuantized, type QuantizeContext } from './quantize.ts';
import type { WeightRules } from './rules.ts';
import type { DeviceTensor, Module, WeightsInput } from './types.ts';

export interface StageLayers {
  start: number;
  end: number;
}

/** Scales of every attention layer of the stage, those that share another layer's cache included. */
export function attentionScalars(
  architecture: Architecture,
  layers: StageLayers,
  rules: Partial<WeightRules>,
): DeviceTensor[] {
  const rule = rules['weights.attentionScalars'];
  if (!rule) return [];
  const out: DeviceTensor[] = [];
  for (const entry of architecture.caches) {
    if (entry.layer < layers.start || entry.layer >= layers.end) continue;
    const count = attentionLayers(entry);
    for (let i = 0; i < count; i++) {
      out.push({ name: `layer ${entry.layer} scales`, bytes: rule.buffers, part: 'buffers' });
      out.push({ name: `layer ${entry.layer} bounds`, bytes: rule.attributes, part: 'attrs' });
    }
  }
  return out;
}

function attentionLayers(entry: Architecture['caches'][number]): number {
  if (entry.sharedWith !== undefined) return 1;
  return entry.caches.filter((cache) => ['full', 'sliding', 'chunked', 'mla', 'cross'].includes(cache.kind)).length;
}

/**
 * FlashInfer's TRTLLM kernels write FP8 from an NVFP4 cache: every attention layer keeps a buffer of batched tokens x query
 * heads x head size, one byte each, from the moment it is built. v1/attention/backends/flashinfer.py FlashInferImpl.
 */
export function nvfp4Outputs(input: WeightsInput, layers: StageLayers): DeviceTensor[] {
  const { architecture, options, spec, gpu } = input;
  const rule = (input.profile as Partial<WeightRules>)['weights.nvfp4KvOutput'];
  const capability = Number(gpu.computeCapability ?? 0);
  if (!rule || !options.kvCacheDtype.startsWith('nvfp4') || capability < rule.from || capability >= rule.below)
    return [];
  const heads = spec.config.heads / options.tensorParallelSize;
  const cachesOf = new Map(architecture.caches.map(({ layer, caches }) => [layer, caches]));
  return architecture.caches
    .filter(({ layer }) => layer >= layers.start && layer < layers.end)
    .flatMap(({ layer, sharedWith }) =>
      (cachesOf.get(sharedWith ?? layer) ?? []).flatMap((cache) =>
        cache.kind === 'full' || cache.kind === 'sliding' || cache.kind === 'chunked'
          ? [
              {
                name: `layer ${layer} nvfp4 output`,
                bytes: options.maxNumBatchedTokens * heads * cache.headDim,
                part: 'buffers',
              },
            ]
          : [],
      ),
    );
}

/** A square mask of one byte per entry, as wide as the positions, where a class keeps one. */
export function causalMask({ spec }: WeightsInput, rules: Partial<WeightRules>): DeviceTensor[] {
  if (!rules['weights.causalMask']?.includes(spec.architecture)) return [];
  const width = spec.config.maxPositionEmbeddings ?? (spec.config.nPositions as number | undefined) ?? 0;
  return [{ name: 'causal mask', bytes: width * width, part: 'buffers' }];
}

/**
 * What MLA makes of its matrices. 0.7 absorbs W_UK into the query projection and W_UV into the output projection and keeps
 * both beside the originals. From 0.8 on W_UK and W_UV, kv_lora x heads x (nope + v), are copies in 16 bit where kv_b is
 * quantized, and views of it otherwise.
 */
export function absorbedMatrices(
  modules: readonly Module[],
  input: WeightsInput,
  context: QuantizeContext,
): DeviceTensor[] {
  const rule = context.rules['weights.mlaAbsorbed'] ?? 'none';
  if (rule === 'none') return [];
  if (!input.architecture.caches.some((entry) => entry.caches.some((cache) => cache.kind === 'mla'))) return [];
  const out: DeviceTensor[] = [];
  for (const module of modules) {
    if (module.kind !== 'linear' || module.members[0]?.role !== 'kv-b') continue;
    const quantized = isQuantized(module, context);
    const copies = module.inputs * module.outputs * dtypeBytes[input.options.dtype];
    if (quantized) out.push({ name: `${module.name} absorbed`, bytes: copies, part: module.part });
    if (rule === 'absorbed') out.push(...absorbedProjections(module.name, input, quantized));
  }
  return out;
}

/** W_Q_UK [heads x kv_lora, q_lora or H], W_UV_O [H, heads x kv_lora], both in the weights' format; W_QR in 16 bit. */
function absorbedProjections(name: string, { spec, options }: WeightsInput, quantized: boolean): DeviceTensor[] {
  const { config } = spec;
  const heads = config.heads / options.tensorParallelSize;
  const [latent, rope] = [Number(config.kvLoraRank ?? 0), Number(config.qkRopeHeadDim ?? 0)];
  const queries = Number(config.qLoraRank ?? config.hiddenSize);
  const bytes = dtypeBytes[options.dtype];
  const weight = quantized ? 1 : bytes;
  const part = 'attention';
  return [
    { name: `${name} W_Q_UK`, bytes: queries * heads * latent * weight, part },
    { name: `${name} W_UV_O`, bytes: heads * latent * config.hiddenSize * weight, part },
    { name: `${name} W_QR`, bytes: queries * heads * rope * bytes, part },
  ];
}
