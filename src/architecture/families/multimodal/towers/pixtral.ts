// Pixtral's vision encoder in the Hugging Face form: RMSNorm blocks without biases, gated MLP, 2-D rotary positions.
// transformers/models/pixtral; split by heads in vLLM model_executor/models/pixtral.py PixtralHF*. A repository in Mistral's
// own format loads the same tensors whole on every rank (the other classes of that file).
import type { JsonObject } from '../../../../spec/model.ts';
import { range, tensor, towerAttention, towerConfig, towerGatedMlp, towerNorm } from '../parts.ts';
import type { Tower } from '../tower.ts';

export function pixtralTower(prefix: string, vision: JsonObject | undefined): Tower {
  const config = towerConfig(vision);
  const size = config.int('hiddenSize');
  const patch = config.int('patchSize');
  const heads = config.int('numAttentionHeads');
  const headDim = config.int('headDim', size / heads);
  const layers = range(config.int('numHiddenLayers'));
  const layer = `${prefix}.transformer.layers.{layer}`;
  const positions = Math.floor(config.int('imageSize') / patch) ** 2;
  return {
    tensors: [
      ...tensor(`${prefix}.patch_conv.weight`, [size, 3, patch, patch]),
      ...towerNorm(`${prefix}.ln_pre`, size, { bias: false }),
      ...towerNorm(`${layer}.attention_norm`, size, { layers, bias: false }),
      ...towerAttention(`${layer}.attention`, size, {
        layers,
        bias: false,
        names: ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
        width: heads * headDim,
      }),
      ...towerNorm(`${layer}.ffn_norm`, size, { layers, bias: false }),
      ...towerGatedMlp(`${layer}.feed_forward`, size, config.int('intermediateSize'), { layers }),
    ],
    shape: {
      heads,
      split: 'heads',
      wholeInMistralFormat: true,
      buffers: [{ kind: 'rotary-frequencies', values: 2 * positions * headDim, bytesPerValue: 4 }],
    },
  };
}
