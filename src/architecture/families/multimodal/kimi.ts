// Kimi-K2.5 (text: DeepSeek-V3 architecture) and Kimi-K3 (text: Kimi-Linear with additions) behind MoonViT.
// vLLM model_executor/models/kimi_k25.py, vllm/models/kimi_k3/nvidia/model.py.
import type { ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { moonvitImage } from './encoders.ts';
import { join, type TextFamily } from './tower.ts';
import { moonvitProjector, moonvitTower } from './towers/moonvit.ts';

export const kimiWith =
  (text: TextFamily) =>
  (spec: ModelSpec): Architecture => {
    const { vision, hiddenSize } = spec.config;
    return join({
      text: text(spec, { prefix: 'language_model.model', lmHead: 'language_model.lm_head' }),
      tower: moonvitTower('vision_tower', vision),
      projector: moonvitProjector('mm_projector', vision, hiddenSize),
      encoders: [moonvitImage(vision)],
    });
  };
