// Weight bytes of Llama ranks: against what released vLLMs' own classes hold and against published start-ups.
import { describe, expect, it } from 'vitest';
import { rankWeights } from '../../../src/engines/vllm/weights/index.ts';
import { GiB } from '../../../src/units.ts';
import { type RankOf, weightsInput } from './input.ts';

const planned = (of: RankOf) => rankWeights(weightsInput(of));

describe('weights of a Llama rank', () => {
  it.each<[RankOf, number]>([
    [{ model: 'llama-1-7b', version: '0.33.0' }, 13477356288],
    [{ model: 'llama-3.1-8b', version: '0.33.0' }, 16094077696],
    [{ model: 'llama-3.1-8b', version: '0.26.0' }, 16094078080],
    [{ model: 'llama-3.1-8b', version: '0.11.0' }, 16094077824],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'fp8' }, 9114756352],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'fp8-static' }, 9114756864],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'fp8-block' }, 9116459776],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'fp8-block', capability: '10.0' }, 9169281792],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'fp8-dynamic' }, 9120260864],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'w8a8' }, 9120260864],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'w4a16' }, 5734148864],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'nvfp4' }, 6061304576],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'awq' }, 5843198720],
    [{ model: 'llama-3.1-8b', version: '0.33.0', scheme: 'gptq' }, 5761409792],
    [{ model: 'llama-3.1-8b', version: '0.20.2', scheme: 'gptq-act' }, 5764817792],
    [{ model: 'llama-3.1-8b', version: '0.20.2', scheme: 'bitsandbytes' }, 5625095040],
  ])('%o: %i bytes', (of, bytes) => {
    const result = planned(of);
    expect('error' in result ? result.error : result.tensorBytes).toBe(bytes);
  });

  it('prints blocks of the allocator: 14.9888 GiB in a start of 0.6.4', () => {
    const result = planned({ model: 'llama-3.1-8b', version: '0.6.4' });
    expect('error' in result ? 0 : result.loadedBytes / GiB).toBeCloseTo(14.9888, 4);
  });

  it('keeps the absorbed matrices of 0.7: DeepSeek-R1 printed 83.88 GiB on each of 8 GPUs', () => {
    const options = { tensorParallelSize: 8 };
    const result = planned({ model: 'deepseek-r1', version: '0.7.3', options });
    expect('error' in result ? 0 : result.loadedBytes / GiB).toBeCloseTo(83.88, 1);
  });

  it('refuses heads that do not divide', () => {
    const options = { tensorParallelSize: 4 };
    expect(planned({ model: 'qwen2.5-0.5b', version: '0.33.0', options })).toEqual({
      error: 'Total number of attention heads (14) must be divisible by tensor parallel size (4).',
    });
  });

  it('refuses shards that cut groups and blocks', () => {
    const options = { tensorParallelSize: 2 };
    const error = (scheme: string) => planned({ model: 'qwen2.5-72b', version: '0.33.0', scheme, options });
    expect(error('fp8-block')).toHaveProperty('error', expect.stringContaining('14784'));
    expect(error('w4a16')).toHaveProperty('error', expect.stringContaining('group_size=128'));
    expect(error('nvfp4')).not.toHaveProperty('error');
  });

  it('refuses methods that a release no longer has', () => {
    expect(planned({ model: 'llama-3.1-8b', version: '0.28.0', scheme: 'bitsandbytes' })).toHaveProperty('error');
    expect(planned({ model: 'llama-3.1-8b', version: '0.30.0', scheme: 'gptq-act' })).toHaveProperty('error');
  });
});
