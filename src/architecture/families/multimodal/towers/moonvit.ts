// MoonViT, the vision encoder of Kimi-VL, Kimi-K2.5 (LayerNorm, biases everywhere) and Kimi-K3 (RMSNorm, no biases, attention
// wider than the stream), with its patch-merging projector. vLLM model_executor/models/kimi_k25_vit.py splits the blocks by heads and
// replicates the projector.
import type { JsonObject } from '../../../../spec/model.ts';
import type { TensorGroup } from '../../../types.ts';
import { fusedQkv, matrix, range, row, tensor, towerConfig, towerMlp, towerNorm } from '../parts.ts';
import type { Tower } from '../tower.ts';

export function moonvitTower(prefix: string, vision: JsonObject | undefined): Tower {
  const config = towerConfig(vision);
  const size = config.int('vtHiddenSize', config.int('hiddenSize', 1152));
  const heads = config.int('vtNumAttentionHeads', config.int('numAttentionHeads', 16));
  const width = config.int('qkvHiddenSize', size);
  const patch = config.int('patchSize', 14);
  const frames = config.int('initPosEmbTime', 0);
  const layers = range(config.int('vtNumHiddenLayers', config.int('numHiddenLayers', 27)));
  const bias = config.text('normType', 'layernorm') === 'layernorm';
  const attentionBias = config.flag('attnBias', true);
  const block = `${prefix}.encoder.blocks.{layer}`;
  const positions = [config.int('initPosEmbHeight', 64), config.int('initPosEmbWidth', 64), size];
  return {
    tensors: [
      ...tensor(`${prefix}.patch_embed.proj.weight`, [size, 3, patch, patch]),
      ...(config.flag('patchEmbedProjBias', true) ? tensor(`${prefix}.patch_embed.proj.bias`, [size]) : []),
      ...tensor(`${prefix}.patch_embed.pos_emb.weight`, positions),
      ...towerNorm(`${block}.norm0`, size, { layers, bias }),
      ...towerNorm(`${block}.norm1`, size, { layers, bias }),
      ...towerMlp(`${block}.mlp`, size, config.int('vtIntermediateSize', config.int('intermediateSize', 4304)), {
        layers,
        bias: config.flag('linearBias', true),
        names: ['fc0', 'fc1'],
      }),
      ...matrix(`${block}.wqkv`, [3 * width, size], {
        layers,
        shard: fusedQkv(heads, heads, width / heads),
        bias: attentionBias,
        merge: `${block}.wqkv`,
      }),
      ...matrix(`${block}.wo`, [size, width], { layers, shard: row, bias: attentionBias }),
      ...towerNorm(`${prefix}.encoder.final_layernorm`, size, { bias }),
    ],
    shape: {
      heads,
      split: 'heads-or-whole',
      buffers: frames > 0 ? [{ kind: 'time-embedding', values: frames * size }] : [],
    },
  };
}

/** Two linear layers on merged patches: biased after a LayerNorm (patchmerger), or bare before an RMSNorm (patchmergerv2). */
export function moonvitProjector(
  prefix: string,
  vision: JsonObject | undefined,
  hiddenSize: number,
  layers: readonly [string, string] = ['proj.0', 'proj.2'],
): TensorGroup[] {
  const config = towerConfig(vision);
  const size = config.int('mmHiddenSize', config.int('vtHiddenSize', config.int('hiddenSize', 1152)));
  const [height = 2, width = 2] = config.ints('mergeKernelSize', [2, 2]);
  const merged = size * height * width;
  const second = config.text('mmProjectorType', 'patchmerger') === 'patchmergerv2';
  const place = { part: 'projector', bias: !second } as const;
  return [
    ...(second ? [] : towerNorm(`${prefix}.pre_norm`, size, { part: 'projector', bias: true })),
    ...matrix(`${prefix}.${layers[0]}`, [merged, merged], place),
    ...matrix(`${prefix}.${layers[1]}`, [hiddenSize, merged], place),
    ...(second ? towerNorm(`${prefix}.post_norm`, hiddenSize, { part: 'projector', bias: false }) : []),
  ];
}
