// Graphs of dense, recurrent, hybrid and encoder architectures, mixtures of experts and latent attention against what released
// llama.cpp CUDA builds reserved for small models of them on stand-in devices.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildNumber } from '../../../../src/engines/llamacpp/builds.ts';
import { computeBuffers } from '../../../../src/engines/llamacpp/graph/index.ts';
import { readHparams } from '../../../../src/engines/llamacpp/read-hparams.ts';
import { loadLlamaRules } from '../../../../src/load/presets.ts';
import type { GgmlType } from '../../../../src/spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../../../src/spec/gguf.ts';
import { load } from '../loads.ts';

/** Build, GPUs, flags; bytes per GPU, of the host; nodes, splits of a prompt and of a token, copies. */
type Case = [string, number, string, number[], number, number, number, number, number];

interface Described {
  name: string;
  architecture: string;
  vocabSize: number;
  metadata: GgufModel['metadata'];
  tensors: { model: string[]; layers: string[]; some: Record<string, number[]> };
  cases: Case[];
}

function described(group: 'dense' | 'moe' | 'recurrent'): Described[] {
  const fixture = new URL(`../../../fixtures/llamacpp-${group}-graphs.jsonl`, import.meta.url);
  const [, ...lines] = readFileSync(fixture, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Described);
}

const models = [...described('dense'), ...described('moe'), ...described('recurrent')];

function tensor(text: string, prefix = ''): GgufTensor {
  const [name, ne, type = 'q8_0'] = text.split(' ') as [string, string, GgmlType | undefined];
  return { name: prefix + name, ne: ne.split('x').map(Number), type };
}

function modelOf({ architecture, vocabSize, metadata, tensors }: Described): GgufModel {
  const layers = Array.from({ length: Number(metadata.block_count) }, (_, i) => [
    ...tensors.layers.map((text) => tensor(text, `blk.${i}.`)),
    ...Object.entries(tensors.some)
      .filter(([, blocks]) => blocks.includes(i))
      .map(([text]) => tensor(text, `blk.${i}.`)),
  ]);
  return {
    architecture,
    vocabSize,
    metadata,
    tensors: [...tensors.model.map((text) => tensor(text)), ...layers.flat()],
  };
}

function reserved(model: GgufModel, [build, gpus, flags]: Case) {
  const { placement, context, caches } = load({ model, build, flags, gpus, freeGiB: Array(gpus).fill(1000) });
  const rules = loadLlamaRules(buildNumber(build)!);
  const made = computeBuffers({ model, hparams: readHparams(model), context, placement, caches, rules })!;
  return [made.gpus, made.host, made.nodes, made.splits, made.singleSplits, made.copies];
}

describe.each(models)('$name', (kind) => {
  const model = modelOf(kind);
  it.each(kind.cases)('%s, GPUs: %i, %s', (...observed) => {
    expect(reserved(model, observed)).toEqual(observed.slice(3));
  });
});
