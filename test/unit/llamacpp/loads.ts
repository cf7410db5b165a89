// One load of a real-size model without its graph: what tests of context, placement, caches and output share.
import { buildNumber } from '../../../src/engines/llamacpp/builds.ts';
import { type ContextResult, contextParams } from '../../../src/engines/llamacpp/context.ts';
import {
  type CacheBuffers,
  cacheBytes,
  cacheSpecs,
  cacheTotals,
  type SizedCache,
} from '../../../src/engines/llamacpp/kv.ts';
import { type ModelBuffers, modelBuffers } from '../../../src/engines/llamacpp/model-buffers.ts';
import { type OutputBuffer, outputBuffer } from '../../../src/engines/llamacpp/output.ts';
import { type LlamaPlacement, placeModel } from '../../../src/engines/llamacpp/placement.ts';
import { readHparams } from '../../../src/engines/llamacpp/read-hparams.ts';
import { ggufOfPreset } from '../../../src/load/gguf-preset.ts';
import { loadLlamaRules } from '../../../src/load/presets.ts';
import type { GgufModel } from '../../../src/spec/gguf.ts';
import { readLlamaWords } from '../../../src/spec/llama-options.ts';
import { GiB, MiB } from '../../../src/units.ts';

export interface Run {
  /** Preset and mix, e.g. llama-3.1-8b q4_k_m; or a description. */
  model: string | GgufModel;
  build?: string;
  flags: string;
  gpus?: number;
  freeGiB?: readonly number[];
}

export interface Load extends ContextResult {
  placement: LlamaPlacement;
  model: ModelBuffers;
  caches: readonly SizedCache[];
  buffers: CacheBuffers;
  output: OutputBuffer;
}

const described = new Map<string, GgufModel>();

function describe(model: string | GgufModel): GgufModel {
  if (typeof model !== 'string') return model;
  const known = described.get(model);
  if (known) return known;
  const [preset = '', mix = ''] = model.split(' ');
  const made = ggufOfPreset(preset, mix).model;
  described.set(model, made);
  return made;
}

export function load({ model: name, build = 'v0.5.0', flags, gpus = 1, freeGiB }: Run): Load {
  const model = describe(name);
  const hparams = readHparams(model);
  const rules = loadLlamaRules(buildNumber(build)!);
  const { options } = readLlamaWords(flags.split(' '));
  const freeBytes = (freeGiB ?? Array.from({ length: gpus }, () => 24)).map((n) => n * GiB);
  const placement = placeModel({ model, hparams, options, rules, freeBytes });
  const context = contextParams({ options, hparams, rules, placement });
  const caches = cacheSpecs({ hparams, context: context.context, placement, rules });
  return {
    ...context,
    ...(placement.refusal && { refusal: placement.refusal }),
    placement,
    model: modelBuffers({ model, placement, gpus: freeBytes.length, options, rules }),
    caches,
    buffers: cacheBytes(caches, rules),
    output: outputBuffer({ model, hparams, context: context.context, placement, rules }),
  };
}

/** Caches as a start prints them: cells, layers, streams, MiB of K (R), MiB of V (S). */
export function printed(caches: readonly SizedCache[]): number[][] {
  return caches.map((cache) => {
    const { keyBytes, valueBytes } = cacheTotals(cache);
    return [cache.cells, cache.layers.length, cache.streams, toMiB(keyBytes), toMiB(valueBytes)];
  });
}

export const toMiB = (bytes: number): number => Number((bytes / MiB).toFixed(2));
