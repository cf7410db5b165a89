// Gemma 4: text, vision tower and, for E2B and E4B, the audio tower; and the unified model, whose patches and audio frames go
// straight to the text width. transformers/models/{gemma4,gemma4_unified}; vLLM model_executor/models/{gemma4_mm,gemma4_unified}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import type { Architecture, TowerBuffer } from '../../types.ts';
import { gemma4Text } from '../dense/index.ts';
import { gemma4Items } from './encoders.ts';
import { towerConfig } from './parts.ts';
import { join } from './tower.ts';
import { gemma4AudioTower, gemma4Embedder, gemma4Projector, gemma4VisionTower } from './towers/gemma4.ts';

const text = { prefix: 'model.language_model' };

export function gemma4(spec: ModelSpec): Architecture {
  const { config } = spec;
  const { vision, audio, hiddenSize } = config;
  const tower = gemma4VisionTower('model.vision_tower', vision);
  const audioTensors = audio
    ? [
        ...gemma4AudioTower('model.audio_tower', audio),
        ...gemma4Projector(
          'model.embed_audio',
          'audio',
          towerConfig(audio, 'audio').int('outputProjDims', 1536),
          hiddenSize,
        ),
      ]
    : [];
  return join({
    text: gemma4Text(spec, text),
    tower: { ...tower, tensors: [...tower.tensors, ...audioTensors] },
    projector: gemma4Projector('model.embed_vision', 'projector', towerConfig(vision).int('hiddenSize'), hiddenSize),
    encoders: gemma4Items(vision, audio),
    buffers: perLayerInputs(spec),
  });
}

export function gemma4Unified(spec: ModelSpec): Architecture {
  const { vision, audio, hiddenSize } = spec.config;
  const audioProjector = audio
    ? gemma4Projector('model.embed_audio', 'audio', towerConfig(audio, 'audio').int('outputProjDims', 640), hiddenSize)
    : [];
  return join({
    text: gemma4Text(spec, text),
    tower: gemma4Embedder('model.vision_embedder', vision),
    projector: [
      ...gemma4Projector(
        'model.embed_vision',
        'projector',
        towerConfig(vision).int('outputProjDims', hiddenSize),
        hiddenSize,
      ),
      ...audioProjector,
    ],
    encoders: gemma4Items(vision, undefined),
    buffers: perLayerInputs(spec),
  });
}

/** Models with per-layer embeddings keep their inputs for a whole batch (gemma4_mm.py per_layer_embeddings). */
function perLayerInputs({ config }: ModelSpec): TowerBuffer[] {
  const width = typeof config.hiddenSizePerLayerInput === 'number' ? config.hiddenSizePerLayerInput : 0;
  return width > 0 ? [{ kind: 'per-layer-inputs', values: config.layers * width, perBatchedToken: true }] : [];
}
