// Qwen3-VL and Qwen3.5 (3.6, 3.8), dense and mixture of experts: one vision tower, text parts of four families. Qwen3-VL feeds
// features of some tower layers into the first text layers (deepstack) through a buffer of one batch per level.
// transformers/models/{qwen3_vl,qwen3_5}; vLLM model_executor/models/{qwen3_vl,qwen3_vl_moe,qwen3_5}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { qwen3 } from '../dense/index.ts';
import { qwen35MoeText, qwen35Text } from '../state/index.ts';
import { patchedItems, qwen3Limits } from './encoders.ts';
import { join, type TextFamily } from './tower.ts';
import { deepstackLayers, qwen3Tower } from './towers/qwen.ts';

/** The class default of deepstack_visual_indexes in Qwen3-VL; Qwen3.5 has none. */
const qwen3VlDeepstack = [8, 16, 24];

const model =
  (text: TextFamily, deepstackDefault: readonly number[]) =>
  (spec: ModelSpec): Architecture => {
    const { vision, hiddenSize } = spec.config;
    const levels = deepstackLayers(vision, deepstackDefault).length;
    return join({
      text: text(spec, { prefix: 'model.language_model' }),
      tower: qwen3Tower('model.visual', vision, levels),
      encoders: patchedItems(vision, qwen3Limits),
      ...(levels > 0
        ? { buffers: [{ kind: 'deepstack', values: levels * hiddenSize, perBatchedToken: true }] as const }
        : {}),
    });
  };

export const qwen3Vl = model(qwen3, qwen3VlDeepstack);
export const qwen35 = model(qwen35Text, []);
export const qwen35Moe = model(qwen35MoeText, []);
/** Text families of mixtures live elsewhere and are passed in. */
export const qwen3VlWith = (text: TextFamily) => model(text, qwen3VlDeepstack);
