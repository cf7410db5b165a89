// Molmo 7B: a Qwen2-like decoder under OLMo's names (fused qkv and MLP matrices, `intermediateSize` counts gate and up), a second
// small embedding for the image tokens, and a CLIP backbone. allenai modeling_molmo.py; vLLM model_executor/models/molmo.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, embedding, linear, lmHead, norm, range, row } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { assemble, fusedGateUp, fusedQkv } from '../dense/parts.ts';
import { molmoImage } from './encoders.ts';
import { join } from './tower.ts';
import { molmoProjector, molmoTower } from './towers/molmo.ts';

/** Rows of the embedding of image tokens. */
const extraRows = 128;

export function molmo(spec: ModelSpec): Architecture {
  const { config } = spec;
  const backbone = 'model.vision_backbone';
  const intermediateSize = (config.intermediateSize ?? 8 * config.hiddenSize) / 2;
  return join({
    text: molmoText(spec, intermediateSize),
    tower: molmoTower(backbone),
    projector: molmoProjector(`${backbone}.image_projector`, intermediateSize, config.hiddenSize),
    encoders: [molmoImage()],
  });
}

function molmoText(spec: ModelSpec, intermediateSize: number): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const rows = typeof config.embeddingSize === 'number' ? config.embeddingSize : vocabSize;
  const sizes = attentionSizes(config);
  const where = { layers: range(config.layers) };
  const block = 'model.transformer.blocks.{layer}';
  return assemble(spec, {
    tensors: [
      { ...embedding('', rows, hiddenSize), name: 'model.transformer.wte.embedding' },
      { ...embedding('', extraRows, hiddenSize), name: 'model.transformer.wte.new_embedding' },
      ...fusedQkv(`${block}.att_proj`, hiddenSize, sizes, { ...where, bias: config.qkvBias === true }),
      ...linear(`${block}.attn_out`, [hiddenSize, sizes.queryDim], { ...where, role: 'o', shard: row }),
      ...fusedGateUp(`${block}.ff_proj`, hiddenSize, intermediateSize, where),
      ...linear(`${block}.ff_out`, [hiddenSize, intermediateSize], { ...where, role: 'down', shard: row }),
      ...norm(`${block}.attn_norm`, hiddenSize, where),
      ...norm(`${block}.ff_norm`, hiddenSize, where),
      ...norm('model.transformer.ln_f', hiddenSize),
      ...lmHead(vocabSize, hiddenSize, { name: 'model.transformer.ff_out' }),
    ],
    tied: false,
    sizes,
    intermediateSize,
    gated: true,
  });
}
