// Image models on a plain decoder: LLaVA, Phi-3.5-vision, InternVL2, Mistral 3 / Pixtral, Gemma 3, GLM-4.1V, EXAONE 4.5, and the
// Qwen2-VL line. Names are those of the published checkpoints; the text part is a family of its own.
import { assert } from '../../../assert.ts';
import type { JsonObject, ModelConfig, ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { denseFamilies, exaone4, gemma3Text, glm4, phi3, qwen2 } from '../dense/index.ts';
import { glmLimits, internImage, patchedItems, phi3Image, pixtralImage, qwen2Limits, squareImage } from './encoders.ts';
import { towerConfig } from './parts.ts';
import { gemma3Projector, internProjector, mistral3Projector, mlpProjector, phi3Projector } from './projectors.ts';
import { join, type TextFamily } from './tower.ts';
import { clipTower, siglipTower } from './towers/clip.ts';
import { glmTower } from './towers/glm.ts';
import { internTower } from './towers/intern.ts';
import { pixtralTower } from './towers/pixtral.ts';
import { qwen2Tower, qwen25Tower } from './towers/qwen.ts';

const nested = { prefix: 'language_model.model', lmHead: 'language_model.lm_head' };

/** The family of the text part by its own model_type. */
function textFamily(spec: ModelSpec, fallback: string): TextFamily {
  const type = spec.textModelType ?? fallback;
  const family = denseFamilies[type];
  assert(family !== undefined, `no text family ${type} for ${spec.modelType}`);
  return family;
}

function numberAt(config: ModelConfig, key: string, fallback: number): number {
  const value = config[key];
  return typeof value === 'number' ? value : fallback;
}

export function llava(spec: ModelSpec): Architecture {
  const { config } = spec;
  const inputSize = towerConfig(config.vision).int('hiddenSize');
  const size = towerConfig(config.vision);
  const patches = (size.int('imageSize') / size.int('patchSize')) ** 2;
  return join({
    text: textFamily(spec, 'llama')(spec, nested),
    tower: clipTower('vision_tower.vision_model', config.vision, numberAt(config, 'visionFeatureLayer', -2)),
    projector: mlpProjector('multi_modal_projector', { inputSize, hiddenSize: config.hiddenSize }),
    encoders: [squareImage(config.vision, patches)],
  });
}

/** CLIP ViT-L/14 at 336 pixels: the class carries it, the configuration names it only. */
const clipLarge: JsonObject = {
  hiddenSize: 1024,
  imageSize: 336,
  intermediateSize: 4096,
  numAttentionHeads: 16,
  numHiddenLayers: 24,
  patchSize: 14,
};

export function phi3Vision(spec: ModelSpec): Architecture {
  const { config } = spec;
  const embedder = 'model.vision_embed_tokens';
  const tokens = towerConfig(config.imgProcessor as JsonObject | undefined).int('numImgTokens', 144);
  return join({
    text: phi3(spec, { prefix: 'model' }),
    tower: clipTower(`${embedder}.img_processor.vision_model`, clipLarge, -2),
    projector: phi3Projector(embedder, 4 * 1024, config.hiddenSize),
    encoders: [phi3Image(tokens)],
  });
}

export function internvl(spec: ModelSpec): Architecture {
  const { config } = spec;
  const ratio = numberAt(config, 'downsampleRatio', 0.5);
  const inputSize = towerConfig(config.vision).int('hiddenSize') / ratio ** 2;
  const head = spec.textModelType === 'internlm2' ? 'language_model.output' : 'language_model.lm_head';
  return join({
    text: textFamily(spec, 'internlm2')(spec, { prefix: nested.prefix, lmHead: head }),
    tower: internTower('vision_model', config.vision, numberAt(config, 'selectLayer', -1)),
    projector: internProjector('mlp1', inputSize, config.hiddenSize),
    encoders: [internImage(config.vision, config)],
  });
}

export function mistral3(spec: ModelSpec): Architecture {
  const { config } = spec;
  const size = towerConfig(config.vision).int('hiddenSize');
  const merge = numberAt(config, 'spatialMergeSize', 2);
  const bias = config.multimodalProjectorBias === true;
  return join({
    text: textFamily(spec, 'mistral')(spec, nested),
    tower: pixtralTower('vision_tower', config.vision),
    projector: mistral3Projector('multi_modal_projector', { size, merge, hiddenSize: config.hiddenSize }, bias),
    encoders: [pixtralImage(config.vision, merge)],
  });
}

export function gemma3(spec: ModelSpec): Architecture {
  const { config } = spec;
  const size = towerConfig(config.vision).int('hiddenSize');
  return join({
    text: gemma3Text(spec, nested),
    tower: siglipTower('vision_tower.vision_model', config.vision),
    projector: gemma3Projector('multi_modal_projector', size, config.hiddenSize),
    encoders: [squareImage(config.vision, numberAt(config, 'mmTokensPerImage', 256), 'exact')],
  });
}

export function glm4v(spec: ModelSpec): Architecture {
  const { vision } = spec.config;
  return join({
    text: glm4(spec, { prefix: 'model.language_model' }),
    tower: glmTower('model.visual', vision),
    encoders: patchedItems(vision, glmLimits),
  });
}

export function qwen2Vl(spec: ModelSpec): Architecture {
  const { vision, hiddenSize } = spec.config;
  return join({
    text: qwen2(spec, { prefix: 'model' }),
    tower: qwen2Tower('visual', vision, hiddenSize),
    encoders: patchedItems(vision, qwen2Limits),
  });
}

export function qwen25Vl(spec: ModelSpec): Architecture {
  const { vision, hiddenSize } = spec.config;
  return join({
    text: qwen2(spec, { prefix: 'model' }),
    tower: qwen25Tower('visual', vision, hiddenSize),
    encoders: patchedItems(vision, qwen2Limits),
  });
}

export function exaone45(spec: ModelSpec): Architecture {
  const { vision, hiddenSize } = spec.config;
  return join({
    text: exaone4(spec, { prefix: 'model.language_model' }),
    tower: qwen25Tower('model.visual', vision, hiddenSize),
    encoders: patchedItems(vision, qwen2Limits),
  });
}
