// What the mixture-of-experts families share beyond build.ts and the dense decoder: the expert block (router, correction
// bias, shared and routed experts), which layers have one, and the step from tensors to an Architecture. Order within a
// block is the order in which vLLM's classes make the parameters (vllm/model_executor/models/<family>.py).
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, embedding, experts, gatedMlp, lmHead, norm, range, replicated, router } from '../../build.ts';
import type {
  Architecture,
  CacheLayout,
  ForwardShape,
  LayerCaches,
  RotaryTable,
  TensorGroup,
  TensorRole,
} from '../../types.ts';
import { attentionCache, type DecoderNames, decoderNames, numberOf, type TextOptions } from '../dense/parts.ts';

export type { TextOptions };

/** A number of the configuration; of a list with one value per layer, the first. */
export function integer(config: ModelConfig, key: string): number | undefined {
  const value = config[key];
  return Array.isArray(value) && typeof value[0] === 'number' ? value[0] : numberOf(config, key);
}

/** A number that the family cannot do without: the configuration's, else the class default. */
export function need(config: ModelConfig, key: string, fallback = 0): number {
  return integer(config, key) ?? fallback;
}

/** The layers for which `test` holds. */
export function layersWhere(config: ModelConfig, test: (layer: number) => boolean): number[] {
  return range(config.layers).filter(test);
}

/** Layers without and with experts. */
export function splitLayers(
  config: ModelConfig,
  sparse: (layer: number) => boolean,
): { dense: number[]; moe: number[] } {
  return { dense: layersWhere(config, (layer) => !sparse(layer)), moe: layersWhere(config, sparse) };
}

/** A per-layer list of 0 and 1 (moe_layer_freq, hybrid_layer_pattern, attn_type_list); undefined when there is none. */
export function layerFlags(config: ModelConfig, key: string): readonly boolean[] | undefined {
  const value = config[key];
  return Array.isArray(value) ? value.map((flag) => flag === 1 || flag === true) : undefined;
}

export interface MoeBlock {
  layers: readonly number[];
  hiddenSize: number;
  experts: number;
  intermediateSize: number;
  /** Name of the router below the block: gate, router.layer, gate.wg. */
  router?: string;
  routerDtype?: 'float32';
  routerBias?: boolean;
  /** Name of the per-expert bias that corrects the routing, with its shape in the file. */
  correctionBias?: { name: string; fileShape?: readonly number[] };
  shared?: { name: string; intermediateSize: number; gate?: string };
  expertNames?: { gate: string; up: string; down: string };
  /** Replaces the per-expert matrices where the file stacks them. */
  routed?: readonly TensorGroup[];
  /** The routed experts are made before the router. */
  expertsFirst?: boolean;
  part?: 'mtp';
}

const sharedRoles: readonly [TensorRole, TensorRole, TensorRole] = ['shared-gate', 'shared-up', 'shared-down'];

/** Router, correction bias, shared experts and routed experts under `prefix` (model.layers.{layer}.mlp). */
export function moeBlock(prefix: string, block: MoeBlock): TensorGroup[] {
  const { hiddenSize, layers, intermediateSize, shared } = block;
  const where = { layers, ...(block.part ? { part: block.part } : {}) };
  const sizes = { hiddenSize, intermediateSize, experts: block.experts };
  const names = block.expertNames ? { names: block.expertNames } : {};
  const routed = block.routed ?? experts(`${prefix}.experts`, sizes, { ...where, ...names });
  const correction = block.correctionBias ? [correctionBias(prefix, block)] : [];
  const gate = gateOf(prefix, block);
  if (block.expertsFirst) return [...correction, ...routed, ...gate];
  const sharedGate = shared?.gate
    ? router(`${prefix}.${shared.gate}`, 1, hiddenSize, where).map((group) => ({
        ...group,
        role: 'shared-router' as const,
      }))
    : [];
  const sharedMlp = shared
    ? gatedMlp(`${prefix}.${shared.name}`, hiddenSize, shared.intermediateSize, { ...where, roles: sharedRoles })
    : [];
  return [...gate, ...correction, ...sharedGate, ...sharedMlp, ...routed];
}

function gateOf(prefix: string, block: MoeBlock): TensorGroup[] {
  const name = `${prefix}.${block.router ?? 'gate'}`;
  const where = { layers: block.layers, ...(block.part ? { part: block.part } : {}) };
  const groups = router(name, block.experts, block.hiddenSize, where);
  const [weight] = groups;
  if (block.routerBias && weight) groups.push({ ...weight, name: `${name}.bias`, shape: [block.experts] });
  return block.routerDtype ? groups.map((group) => ({ ...group, dtype: 'float32' })) : groups;
}

function correctionBias(prefix: string, block: MoeBlock): TensorGroup {
  const { name, fileShape } = block.correctionBias!;
  return {
    name: `${prefix}.${name}`,
    shape: [block.experts],
    layers: block.layers,
    role: 'router',
    shard: replicated,
    part: block.part ?? 'text',
    dtype: 'float32',
    ...(fileShape ? { fileShape } : {}),
  };
}

/** The expert block of a family as the forward shape describes it. */
export function forwardMoe(config: ModelConfig, block: MoeBlock): NonNullable<ForwardShape['moe']> {
  return {
    experts: block.experts,
    topK: need(config, 'expertsPerToken', 1),
    intermediateSize: block.intermediateSize,
    sharedIntermediateSize: block.shared?.intermediateSize ?? 0,
    layers: block.layers.length,
  };
}

export interface MoeDecoder {
  names: DecoderNames;
  /** All tensors of the layers, in order. */
  layers: readonly TensorGroup[];
  block: MoeBlock;
  /** Width of the dense layers' MLP; 0 when there are none. */
  denseIntermediateSize: number;
  tied: boolean;
  caches: readonly LayerCaches[];
  rotary: readonly RotaryTable[];
  attention: Architecture['attention'];
  queryDim: number;
  kvDim: number;
  kvHeads: number;
  normBias?: boolean;
  headBias?: boolean;
  headDtype?: 'float32';
  mtp?: readonly TensorGroup[];
  draftCaches?: readonly LayerCaches[];
}

/** Embedding, layers, final norm and head around the layers of a family. */
export function moeDecoder(spec: ModelSpec, parts: MoeDecoder): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const { names, tied, mtp, draftCaches } = parts;
  const head =
    tied || !names.head ? [] : lmHead(vocabSize, hiddenSize, { name: names.head, bias: parts.headBias ?? false });
  return {
    tensors: [
      embedding(names.at('embed_tokens'), vocabSize, hiddenSize),
      ...parts.layers,
      ...norm(names.at('norm'), hiddenSize, { bias: parts.normBias ?? false }),
      ...(parts.headDtype ? head.map((group) => ({ ...group, dtype: 'float32' as const })) : head),
      ...(mtp ?? []),
    ],
    caches: parts.caches,
    ...(draftCaches && draftCaches.length > 0 ? { draftCaches } : {}),
    forward: {
      hiddenSize,
      queryDim: parts.queryDim,
      kvDim: parts.kvDim,
      kvHeads: parts.kvHeads,
      intermediateSize: parts.denseIntermediateSize,
      gatedMlp: true,
      ...(parts.block.layers.length > 0 ? { moe: forwardMoe(config, parts.block) } : {}),
      vocabSize,
    },
    rotary: parts.rotary,
    tied,
    attention: parts.attention,
  };
}

/** What moeDecoder needs of ordinary attention that is the same in every layer. */
export function plainAttention(
  config: ModelConfig,
  window?: number,
): Pick<MoeDecoder, 'caches' | 'attention' | 'queryDim' | 'kvDim' | 'kvHeads'> & {
  sizes: ReturnType<typeof attentionSizes>;
} {
  const sizes = attentionSizes(config);
  const layout: CacheLayout = attentionCache(sizes, window);
  return {
    sizes,
    caches: range(config.layers).map((layer) => ({ layer, caches: [layout] })),
    attention: 'uniform',
    queryDim: sizes.queryDim,
    kvDim: sizes.kvDim,
    kvHeads: sizes.kv,
  };
}

/** The two norms of a pre-norm layer, made after attention and MLP. */
export function layerNorms(
  layer: string,
  hiddenSize: number,
  where: { layers: readonly number[]; bias?: boolean; part?: 'mtp' },
): TensorGroup[] {
  return ['input_layernorm', 'post_attention_layernorm'].flatMap((name) => norm(`${layer}.${name}`, hiddenSize, where));
}

export { decoderNames };
