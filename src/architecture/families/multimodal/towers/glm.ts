// The vision encoder of GLM-4.1V and GLM-4.5V: bias-less RMSNorm blocks of width `hiddenSize` with a gated MLP of width
// `outHiddenSize`, a strided convolution to the text width, and a gated merger. transformers/models/glm4v; split by heads in vLLM
// model_executor/models/glm4_1v.py.
import type { JsonObject } from '../../../../spec/model.ts';
import { column, fusedQkv, matrix, range, row, tensor, towerConfig, towerGatedMlp, towerNorm } from '../parts.ts';
import type { Tower } from '../tower.ts';

export function glmTower(prefix: string, vision: JsonObject | undefined): Tower {
  const config = towerConfig(vision);
  const size = config.int('hiddenSize');
  const out = config.int('outHiddenSize');
  const patch = config.int('patchSize');
  const heads = config.int('numHeads');
  const merge = config.int('spatialMergeSize', 2);
  const positions = Math.floor(config.int('imageSize') / patch) ** 2;
  const layers = range(config.int('depth'));
  const block = `${prefix}.blocks.{layer}`;
  return {
    tensors: [
      ...tensor(`${prefix}.embeddings.position_embedding.weight`, [positions, size]),
      ...tensor(`${prefix}.patch_embed.proj.weight`, [size, 3, config.int('temporalPatchSize', 2), patch, patch]),
      ...tensor(`${prefix}.patch_embed.proj.bias`, [size]),
      ...towerNorm(`${block}.norm1`, size, { layers, bias: false }),
      ...towerNorm(`${block}.norm2`, size, { layers, bias: false }),
      ...matrix(`${block}.attn.qkv`, [3 * size, size], {
        layers,
        shard: fusedQkv(heads, heads, size / heads),
        merge: `${block}.attn.qkv`,
      }),
      ...matrix(`${block}.attn.proj`, [size, size], { layers, shard: row }),
      ...towerGatedMlp(`${block}.mlp`, size, out, { layers }),
      ...matrix(`${prefix}.merger.proj`, [out, out], { part: 'vision', shard: column }),
      ...towerNorm(`${prefix}.merger.post_projection_norm`, out, { bias: true }),
      ...towerGatedMlp(`${prefix}.merger`, out, config.int('intermediateSize'), {}),
      ...towerNorm(`${prefix}.post_conv_layernorm`, size, { bias: false }),
      ...tensor(`${prefix}.downsample.weight`, [out, size, merge, merge]),
      ...tensor(`${prefix}.downsample.bias`, [out]),
      ...towerNorm(`${prefix}.post_layernorm`, size, { bias: false }),
    ],
    shape: {
      heads,
      split: 'heads',
      buffers: [
        { kind: 'rotary-table', values: 8192 * (size / heads / 2) },
        { kind: 'position-ids', values: positions, bytesPerValue: 8 },
      ],
    },
  };
}
