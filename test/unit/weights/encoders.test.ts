// Encoder models, SigLIP tables and pipelines of single classes: bytes that released vLLMs' own classes hold on a rank, built
// without weights. None of these models is in the oracle file.
import { expect, it } from 'vitest';
import { rankWeights } from '../../../src/engines/vllm/weights/index.ts';
import { type RankOf, weightsInput } from './input.ts';

const float16 = { dtype: 'float16' } as const;

it.each<[RankOf, number]>([
  [{ model: 'bge-large-en-v1.5', version: '0.33.0', options: float16 }, 668_328_512],
  [{ model: 'bge-m3', version: '0.33.0', options: float16 }, 1_133_826_640],
  [{ model: 'bge-reranker-v2-m3', version: '0.33.0', options: float16 }, 1_138_033_240],
  [{ model: 'multilingual-e5-large', version: '0.33.0', options: float16 }, 1_118_036_560],
  [{ model: 'medgemma-27b', version: '0.11.0', options: { tensorParallelSize: 2 } }, 27_742_847_290],
  [{ model: 'gemma-4-12b', version: '0.33.0', stage: 1, options: { pipelineParallelSize: 2 } }, 13_437_152_626],
  [{ model: 'wizardcoder-15b', version: '0.33.0', stage: 1, options: { pipelineParallelSize: 2 } }, 15_937_685_984],
])('%o', (of, held) => {
  const planned = rankWeights(weightsInput(of));
  if ('error' in planned) throw new Error(planned.error);
  expect(Math.abs(planned.tensorBytes / held - 1)).toBeLessThan(1e-4);
});

it('refuses pipelines as the class does', () => {
  const stage = (model: string) =>
    rankWeights(weightsInput({ model, version: '0.33.0', options: { pipelineParallelSize: 2 } }));
  expect(stage('nomic-embed-text-v1.5')).toMatchObject({ error: expect.stringContaining('SupportsPP') });
  expect(stage('ernie-4.5-21b-a3b')).toMatchObject({ error: expect.stringContaining('tie_weights') });
});
