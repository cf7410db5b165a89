// GraniteMoE and DBRX: all layers have experts, stored stacked under names of their own.
// vllm/model_executor/models/{granitemoe,dbrx}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import {
  attention,
  column,
  embedding,
  expert,
  linear,
  lmHead,
  norm,
  range,
  rotaryOf,
  router,
  row,
  stackedExperts,
} from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { fusedQkv } from '../dense/parts.ts';
import {
  decoderNames,
  forwardMoe,
  layerNorms,
  moeBlock,
  moeDecoder,
  need,
  plainAttention,
  type TextOptions,
} from './parts.ts';

/** Granite 3 MoE: [experts, out, in] matrices. */
export function graniteMoe(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize } = config;
  const names = decoderNames(spec, options);
  const { sizes, ...plain } = plainAttention(config);
  const layers = range(config.layers);
  const experts = need(config, 'experts', 8);
  const intermediateSize = need(config, 'intermediateSize');
  const prefix = `${names.layer}.block_sparse_moe`;
  const stored = {
    gateUp: `${prefix}.input_linear.weight`,
    down: `${prefix}.output_linear.weight`,
    merge: `${prefix}.experts`,
  };
  const routed = stackedExperts(stored, { hiddenSize, intermediateSize, experts }, { layers });
  const block = { layers, hiddenSize, experts, intermediateSize, router: 'router.layer', routed };
  const bias = config.attentionBias === true;
  return moeDecoder(spec, {
    names,
    layers: [
      ...attention(`${names.layer}.self_attn`, hiddenSize, sizes, { layers, qkvBias: bias, outBias: bias }),
      ...moeBlock(prefix, block),
      ...layerNorms(names.layer, hiddenSize, { layers }),
    ],
    block,
    denseIntermediateSize: 0,
    tied: config.tieWordEmbeddings ?? false,
    ...plain,
    rotary: rotaryOf(config, sizes.headDim),
  });
}

/** DBRX: names of its own, the experts' matrices as rows of one, norms without bias. */
export function dbrx(spec: ModelSpec): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const { sizes, ...plain } = plainAttention(config);
  const layers = range(config.layers);
  const block = {
    layers,
    hiddenSize,
    experts: need(config, 'experts', 16),
    intermediateSize: need(config, 'intermediateSize', 10752),
  };
  const layer = 'transformer.blocks.{layer}';
  const attn = `${layer}.norm_attn_norm`;
  const positions = config.maxPositionEmbeddings ?? need(config, 'maxSeqLen', 2048);
  return {
    tensors: [
      embedding('transformer.wte', vocabSize, hiddenSize),
      ...fusedQkv(`${attn}.attn.Wqkv`, hiddenSize, sizes, { layers }),
      ...linear(`${attn}.attn.out_proj`, [hiddenSize, sizes.queryDim], { layers, role: 'o', shard: row }),
      ...norm(`${attn}.norm_1`, hiddenSize, { layers }),
      ...norm(`${attn}.norm_2`, hiddenSize, { layers }),
      ...router(`${layer}.ffn.router.layer`, block.experts, hiddenSize, { layers }),
      ...dbrxExperts(`${layer}.ffn.experts.mlp`, block),
      ...norm('transformer.norm_f', hiddenSize),
      ...lmHead(vocabSize, hiddenSize),
    ],
    caches: plain.caches,
    forward: {
      hiddenSize,
      queryDim: sizes.queryDim,
      kvDim: sizes.kvDim,
      kvHeads: sizes.kv,
      intermediateSize: 0,
      gatedMlp: true,
      moe: forwardMoe(config, block),
      vocabSize,
    },
    rotary: rotaryOf({ ...config, maxPositionEmbeddings: positions }, sizes.headDim),
    tied: false,
    attention: 'uniform',
  };
}

/** w1 (gate), v1 (up) and w2 (down, transposed): [experts x intermediate, hidden] each. */
function dbrxExperts(
  prefix: string,
  block: { layers: readonly number[]; hiddenSize: number; experts: number; intermediateSize: number },
): TensorGroup[] {
  const { layers, hiddenSize, experts, intermediateSize } = block;
  const fileShape = [experts * intermediateSize, hiddenSize];
  const common = { layers, experts, stacked: true, part: 'text', linear: true, fileShape } as const;
  const input = { shape: [intermediateSize, hiddenSize], shard: expert(column), merge: `${prefix}.w13` };
  return [
    { ...common, ...input, name: `${prefix}.w1`, role: 'expert-gate' },
    { ...common, ...input, name: `${prefix}.v1`, role: 'expert-up' },
    {
      ...common,
      name: `${prefix}.w2`,
      shape: [hiddenSize, intermediateSize],
      role: 'expert-down',
      shard: expert(row),
      merge: `${prefix}.w2`,
      transposed: true,
    },
  ];
}
