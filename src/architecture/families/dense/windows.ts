// Which layers of a decoder attend to a window. Knows how configurations state it (one window for all layers, a list of
// layer types, a pattern) and what the model classes of transformers fill in where a configuration is silent.
import type { ModelConfig } from '../../../spec/model.ts';
import { range } from '../../build.ts';
import type { Windows } from './parts.ts';

/**
 * The window of an ordinary decoder: the layers named sliding in layer_types, else every layer when a window is set and
 * not switched off (vllm/model_executor/layers/attention: the window of the layer, else that of the cache configuration).
 */
export function windowsOf(config: ModelConfig): Windows {
  const window = config.slidingWindow || undefined;
  if (window === undefined || config.useSlidingWindow === false) return [];
  if (config.layerTypes) return byLayerTypes(config.layerTypes, window);
  return range(config.layers).map(() => window);
}

/**
 * Qwen2 and Qwen3: a window only where use_sliding_window says so (silent: no), in the layers from max_window_layers on;
 * vLLM starts such a model only when max_window_layers equals the number of layers and then windows them all.
 */
export function qwenWindows(config: ModelConfig): Windows {
  if (config.useSlidingWindow !== true) return [];
  if (config.layerTypes || config.maxWindowLayers === config.layers) return windowsOf(config);
  const from = typeof config.maxWindowLayers === 'number' ? config.maxWindowLayers : 28;
  return range(config.layers).map((layer) => (layer >= from ? config.slidingWindow : undefined));
}

/**
 * Families that interleave window and full layers: layer_types, else a pattern: of every `period` layers the last is full.
 * `window` is the class default. transformers/models/{gemma2,gemma3,cohere2,exaone4,olmo3}/configuration_*.py.
 */
export function interleavedWindows(config: ModelConfig, defaults: { period: number; window: number }): Windows {
  const window = config.slidingWindow ?? defaults.window;
  if (config.layerTypes) return byLayerTypes(config.layerTypes, window);
  const pattern = config.slidingWindowPattern;
  if (typeof pattern === 'string') {
    return range(config.layers).map((layer) => (pattern[layer % pattern.length] === 'L' ? window : undefined));
  }
  const period = typeof pattern === 'number' ? pattern : defaults.period;
  return range(config.layers).map((layer) => ((layer + 1) % period === 0 ? undefined : window));
}

function byLayerTypes(layerTypes: readonly string[], window: number): Windows {
  return layerTypes.map((type) => (type === 'sliding_attention' ? window : undefined));
}
