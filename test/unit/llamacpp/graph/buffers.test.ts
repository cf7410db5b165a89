// Compute buffers against what released llama.cpp CUDA builds allocated for these models on stand-in devices.
import { describe, expect, it } from 'vitest';
import { computeBuffers } from '../../../../src/engines/llamacpp/graph/index.ts';
import type { Place } from '../../../../src/engines/llamacpp/types.ts';
import { graphInput, type Run } from './models.ts';

interface Observed {
  gpus: number[];
  host: number;
  nodes: number;
  splits: number;
  single?: number;
  copies?: number;
}

/** The last `count` of the blocks and the output layer are on GPU 0. */
const last =
  (count: number) =>
  (blocks: number): Place[] =>
    Array.from({ length: blocks + 1 }, (_, i) => (i > blocks - count ? 0 : 'cpu'));

const halves = (blocks: number): Place[] => Array.from({ length: blocks + 1 }, (_, i) => (2 * i < blocks + 1 ? 0 : 1));

const cases: [string, Run, Observed][] = [
  [
    '8B, flash attention',
    { model: 'llama-3.1-8b', nCtx: 8192 },
    { gpus: [121645184], host: 25178144, nodes: 998, splits: 2 },
  ],
  [
    '8B, four slots',
    { model: 'llama-3.1-8b', nCtx: 32768, parallel: 4 },
    { gpus: [146811008], host: 50343968, nodes: 998, splits: 2 },
  ],
  [
    '8B, no flash attention',
    { model: 'llama-3.1-8b', nCtx: 8192, flash: false },
    { gpus: [591403136], host: 37756960, nodes: 1158, splits: 2 },
  ],
  [
    '8B, quantized cache',
    { model: 'llama-3.1-8b', nCtx: 32768, type: 'q8_0' },
    { gpus: [201418880], host: 50425888, nodes: 1382, splits: 2 },
  ],
  [
    '8B, 16 layers on the GPU',
    { model: 'llama-3.1-8b', nCtx: 8192, layers: last(16) },
    { gpus: [142084352], host: 25178144, nodes: 998, splits: 207, single: 2 },
  ],
  [
    '8B, no layer on the GPU',
    { model: 'llama-3.1-8b', nCtx: 8192, layers: last(0) },
    { gpus: [142084352], host: 25178144, nodes: 998, splits: 384, single: 1 },
  ],
  [
    '8B, cache in host memory',
    { model: 'llama-3.1-8b', nCtx: 8192, noKvOffload: true },
    { gpus: [117442560], host: 25178144, nodes: 998, splits: 66 },
  ],
  [
    '8B, two GPUs',
    { model: 'llama-3.1-8b', nCtx: 32768, devices: 2, layers: halves },
    { gpus: [281059328, 281059840], host: 151044224, nodes: 998, splits: 3, copies: 4 },
  ],
  ['70B', { model: 'llama-3.1-70b', nCtx: 131072 }, { gpus: [360720512], host: 167784480, nodes: 2486, splits: 2 }],
  [
    '14B, 20 layers on the GPU',
    { model: 'qwen3-14b', nCtx: 8192, layers: last(20) },
    { gpus: [308283904], host: 29372448, nodes: 1406, splits: 275, single: 44 },
  ],
];

describe('computeBuffers', () => {
  it.each(cases)('%s', (_, run, observed) => {
    const { gpus, host, nodes, splits, singleSplits, copies } = computeBuffers(graphInput(run))!;
    const single = observed.single ?? observed.splits;
    expect({ gpus, host, nodes, splits, single: singleSplits, copies }).toEqual({ copies: 1, ...observed, single });
  });

  it('knows no graph of an unknown architecture', () => {
    const input = graphInput({ model: 'qwen3-14b', nCtx: 512 });
    expect(computeBuffers({ ...input, hparams: { ...input.hparams, architecture: 'toString' } })).toBeUndefined();
  });
});
