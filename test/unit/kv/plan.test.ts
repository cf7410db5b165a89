// The planner's own laws: auto length, override, the null block, pipeline stages, decode context parallelism, speed.
import { describe, expect, it } from 'vitest';
import { stageBounds } from '../../../src/engines/vllm/pipeline.ts';
import { GiB } from '../../../src/units.ts';
import { start } from './oracle.ts';

describe('planning', () => {
  it.each([
    ['0.24.0', 40960, 'to fit in available GPU memory (5.0 GiB available for KV cache)'],
    ['0.33.0', 40944, 'to fit in available KV cache memory (5.0 GiB GPU)'],
  ])('%s takes the longest length that fits with --max-model-len auto: %i', (version, length, where) => {
    const { pool } = start({ model: 'llama-3.1-8b', version, options: { maxModelLen: 'auto' } });
    const plan = pool(5 * GiB);
    expect(plan).toMatchObject({ refusal: null, maxModelLen: length });
    expect(plan.logLines).toEqual([`Auto-fit max_model_len: reduced from 131072 to ${length} ${where}`]);
    expect(pool(30 * GiB).logLines[0]).toContain('full model context length 131072 fits');
    expect(pool(1000).refusal).toMatchObject({ kind: 'unsupported' });
  });

  it('an override replaces the blocks and, from 0.20, what the check compares', () => {
    const options = { maxModelLen: 16000, numGpuBlocksOverride: 500 };
    const blocksOf = (version: string) => start({ model: 'llama-3.1-8b', version, options }).pool(20 * GiB);
    expect(blocksOf('0.19.1')).toMatchObject({ numBlocks: 500, refusal: null });
    expect(blocksOf('0.20.2')).toMatchObject({ numBlocks: 500, refusal: { kind: 'too-long' } });
  });

  it('an exactly fitting pool starts in 0.28 and is refused in 0.29', () => {
    const refusalOf = (version: string) =>
      start({ model: 'qwen3-14b', version, options: { maxModelLen: 32768 } }).pool(5 * GiB).refusal;
    expect(refusalOf('0.28.0')).toBeNull();
    expect(refusalOf('0.29.0')?.kind).toBe('too-long');
  });

  it('the tightest stage decides', () => {
    const { specs, pool } = start({ model: 'deepseek-v3', version: '0.33.0', options: { pipelineParallelSize: 2 } });
    expect(specs.stages.map((stage) => stage.length)).toEqual([31, 30]);
    expect(pool(20 * GiB).bytesPerBlock).toBe(31 * 16 * 576 * 2);
  });

  it('splits layers as the release does', () => {
    const split = (
      layers: number,
      stages: number,
      rule: 'remainder-last' | 'remainder-before-last' = 'remainder-before-last',
    ) => {
      const bounds = stageBounds({ layers, stages, split: rule }) as number[];
      return bounds.slice(1).map((bound, i) => bound - bounds[i]!);
    };
    expect(split(62, 4)).toEqual([15, 16, 16, 15]);
    expect(split(61, 3)).toEqual([20, 21, 20]);
    expect(split(80, 3)).toEqual([27, 27, 26]);
    expect(split(61, 2)).toEqual([31, 30]);
    expect(split(62, 4, 'remainder-last')).toEqual([15, 15, 15, 17]);
    expect(stageBounds({ layers: 8, stages: 2, split: 'remainder-last', partition: '3,4' })).toHaveProperty('error');
  });

  it('decode context parallelism shares the tokens of a sequence', () => {
    const at = (decodeContextParallelSize: number) =>
      start({
        model: 'deepseek-v3',
        version: '0.20.2',
        options: { tensorParallelSize: 8, decodeContextParallelSize, maxModelLen: 131072 },
      }).pool(20 * GiB);
    expect(at(8).numBlocks).toBe(at(1).numBlocks);
    expect(at(8).maxConcurrency).toBeCloseTo(8 * at(1).maxConcurrency, 6);
  });

  it('no attention backend takes sparse MLA below capability 9', () => {
    const { specs, pool } = start({ model: 'deepseek-v3.2', version: '0.33.0', gpu: 'l40s' });
    expect(specs.error).toContain('No valid attention backend found for cuda');
    expect(pool(20 * GiB).refusal?.kind).toBe('unsupported');
  });

  it('plans a thousand pools of a hybrid model in well under a second', () => {
    const { pool } = start({ model: 'gemma-3-27b', version: '0.33.0', options: { maxModelLen: 32768 } });
    const before = performance.now();
    for (let i = 1; i <= 1000; i++) pool(i * 2 ** 26);
    expect(performance.now() - before).toBeLessThan(1000);
  });
});
