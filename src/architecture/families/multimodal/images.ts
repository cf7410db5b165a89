// Image models on a plain decoder: LLaVA, LLaVA-NeXT, PaliGemma, Phi-3.5-vision, InternVL2, Mistral 3 / Pixtral, Gemma 3, GLM-4.1V, EXAONE 4.5, and the
// Qwen2-VL line. Names are those of the published checkpoints; the text part is a family of its own.
import { assert } from '../../../assert.ts';
import type { JsonObject, ModelConfig, ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { denseFamilies, exaone4, gemma3Text, glm4, phi3, qwen2 } from '../dense/index.ts';
import { mixtral, qwen3Moe } from '../moe/plain.ts';
import {
  glmLimits,
  internImage,
  nextImage,
  patchedItems,
  phi3Image,
  pixtralImage,
  qwen2Limits,
  squareImage,
} from './encoders.ts';
import { matrix, tensor, towerConfig } from './parts.ts';
import { gemma3Projector, internProjector, mistral3Projector, mlpProjector, phi3Projector } from './projectors.ts';
import { join, type TextFamily, type Tower } from './tower.ts';
import { clipTower, siglipTower } from './towers/clip.ts';
import { glmTower } from './towers/glm.ts';
import { internTower } from './towers/intern.ts';
import { pixtralTower } from './towers/pixtral.ts';
import { qwen2Tower, qwen25Tower } from './towers/qwen.ts';

const nested = { prefix: 'language_model.model', lmHead: 'language_model.lm_head' };

/** Mixtures that image models of plain classes carry as text part. */
const mixtureFamilies: Readonly<Record<string, TextFamily>> = { qwen3_moe: qwen3Moe, mixtral };

/** The family of the text part by its own model_type. */
function textFamily(spec: ModelSpec, fallback: string): TextFamily {
  const type = spec.textModelType ?? fallback;
  const family = denseFamilies[type] ?? mixtureFamilies[type];
  assert(family !== undefined, `no text family ${type} for ${spec.modelType}`);
  return family;
}

function numberAt(config: ModelConfig, key: string, fallback: number): number {
  const value = config[key];
  return typeof value === 'number' ? value : fallback;
}

/** LLaVA with CLIP, SigLIP or Pixtral (the Hugging Face form of Pixtral-12B). */
export function llava(spec: ModelSpec): Architecture {
  const { config } = spec;
  const { vision, hiddenSize } = config;
  const inputSize = towerConfig(vision).int('hiddenSize');
  return join({
    text: textFamily(spec, 'llama')(spec, nested),
    tower: llavaTower(vision, numberAt(config, 'visionFeatureLayer', -2)),
    projector: mlpProjector('multi_modal_projector', { inputSize, hiddenSize }),
    encoders: [isPixtral(vision) ? pixtralImage(vision, 1) : squareImage(vision, patches(vision))],
  });
}

/** LLaVA-NeXT: up to four more tiles of one image, and an embedding that ends the rows of the joined features. */
export function llavaNext(spec: ModelSpec): Architecture {
  const built = llava(spec);
  const { vision, hiddenSize } = spec.config;
  return {
    ...built,
    tensors: [...tensor('image_newline', [hiddenSize], { part: 'projector' }), ...built.tensors],
    encoders: [nextImage(vision)],
  };
}

/** PaliGemma: SigLIP and one plain linear layer before Gemma. */
export function paligemma(spec: ModelSpec): Architecture {
  const { vision, hiddenSize } = spec.config;
  const inputSize = towerConfig(vision).int('hiddenSize');
  const place = { part: 'projector', bias: true, plain: true } as const;
  return join({
    text: textFamily(spec, 'gemma')(spec, nested),
    tower: siglipTower('vision_tower.vision_model', vision),
    projector: matrix('multi_modal_projector.linear', [hiddenSize, inputSize], place),
    encoders: [squareImage(vision, patches(vision))],
  });
}

function llavaTower(vision: JsonObject | undefined, featureLayer: number): Tower {
  if (isPixtral(vision)) return pixtralTower('vision_tower', vision);
  const prefix = 'vision_tower.vision_model';
  return towerConfig(vision).text('modelType', '').startsWith('siglip')
    ? siglipTower(prefix, vision, featureLayer)
    : clipTower(prefix, vision, featureLayer);
}

function isPixtral(vision: JsonObject | undefined): boolean {
  return towerConfig(vision).text('modelType', '') === 'pixtral';
}

function patches(vision: JsonObject | undefined): number {
  const size = towerConfig(vision);
  return Math.floor(size.int('imageSize') / size.int('patchSize')) ** 2;
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
