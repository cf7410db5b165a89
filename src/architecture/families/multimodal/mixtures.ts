// Image models on a mixture of experts: Llama 4, GLM-4.5V, Qwen3-VL-MoE, MiniMax-M3, Kimi-VL, Kimi-K2.5 and K3.
import type { JsonObject, ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { llama4Text } from '../moe/llama4.ts';
import { minimaxM3Text } from '../moe/minimax.ts';
import { deepseekV2 } from '../moe/mla.ts';
import { glm4Moe, qwen3Moe } from '../moe/plain.ts';
import { kimiK3Text } from '../state/index.ts';
import { glmLimits, kimiVlImage, llama4Image, minimaxLimits, moonvitImage, patchedItems } from './encoders.ts';
import { column, matrix, towerConfig } from './parts.ts';
import { mlpProjector } from './projectors.ts';
import { qwen3VlWith } from './qwen3.ts';
import { join, type TextFamily } from './tower.ts';
import { minimaxTower } from './towers/clip.ts';
import { glmTower } from './towers/glm.ts';
import { llama4Tower } from './towers/llama4.ts';
import { moonvitProjector, moonvitTower } from './towers/moonvit.ts';

const nested = { prefix: 'language_model.model', lmHead: 'language_model.lm_head' };

export function llama4(spec: ModelSpec): Architecture {
  const { vision, hiddenSize } = spec.config;
  const outputDim = towerConfig(vision).int('visionOutputDim');
  return join({
    text: llama4Text(spec, nested),
    tower: llama4Tower('vision_model', vision),
    projector: matrix('multi_modal_projector.linear_1', [hiddenSize, outputDim], { part: 'projector', shard: column }),
    encoders: [llama4Image(vision)],
  });
}

export function glm4vMoe(spec: ModelSpec): Architecture {
  const { vision } = spec.config;
  return join({
    text: glm4Moe(spec, { prefix: 'model.language_model' }),
    tower: glmTower('model.visual', vision),
    encoders: patchedItems(vision, glmLimits),
  });
}

/** The file stacks the experts of a layer. */
export const qwen3VlMoe = qwen3VlWith((spec, options) => qwen3Moe(spec, { ...options, stackedExperts: true }));

/** Each projected patch meets three neighbours in a second two-layer projector. */
export function minimaxM3(spec: ModelSpec): Architecture {
  const { config } = spec;
  const { vision, hiddenSize } = config;
  const size = towerConfig(vision);
  const middle = typeof config.projectorHiddenSize === 'number' ? config.projectorHiddenSize : hiddenSize;
  const merge = towerConfig(vision?.imgTokenCompressionConfig as JsonObject | undefined).int('spatialMergeSize', 2);
  const widths = { middleSize: middle, hiddenSize };
  return join({
    text: minimaxM3Text(spec, nested),
    tower: minimaxTower('vision_tower.vision_model', vision),
    projector: [
      ...mlpProjector('multi_modal_projector', { ...widths, inputSize: size.int('hiddenSize') }),
      ...mlpProjector('patch_merge_mlp', { ...widths, inputSize: hiddenSize * merge ** 2 }),
    ],
    encoders: patchedItems(vision, minimaxLimits, merge),
  });
}

function onMoonvit(text: TextFamily): (spec: ModelSpec) => Architecture {
  return (spec) => {
    const { vision, hiddenSize } = spec.config;
    return join({
      text: text(spec, nested),
      tower: moonvitTower('vision_tower', vision),
      projector: moonvitProjector('mm_projector', vision, hiddenSize),
      encoders: [moonvitImage(vision)],
    });
  };
}

/** Kimi-VL: MoonViT for images alone, its projector under LLaVA's name. */
export function kimiVl(spec: ModelSpec): Architecture {
  const { vision, hiddenSize } = spec.config;
  return join({
    text: deepseekV2(spec, nested),
    tower: moonvitTower('vision_tower', vision),
    projector: moonvitProjector('multi_modal_projector', vision, hiddenSize, ['linear_1', 'linear_2']),
    encoders: [kimiVlImage(vision)],
  });
}

export const kimiK25 = onMoonvit(deepseekV2);
export const kimiK3 = onMoonvit(kimiK3Text);
