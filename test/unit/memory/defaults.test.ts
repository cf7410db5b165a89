// What releases made of options that were left out (test/ground-truth/vllm-oracle.jsonl, `resolved`), and rules that no line shows.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import type { Architecture } from '../../../src/architecture/types.ts';
import { resolveOptions } from '../../../src/engines/vllm/defaults/index.ts';
import { defaultParallel, type EngineOptions } from '../../../src/spec/options.ts';
import { gpuOf, modelOf, profileOf } from './start.ts';

interface OracleLine {
  id: string;
  engine: string;
  model: string;
  capability: string;
  tp: number;
  pp: number;
  quantization: string | null;
  flags?: Record<string, number | string | boolean>;
  configFilled?: string[];
  resolved?: {
    dtype: string;
    maxModelLen: number;
    batchedTokens: number;
    maxNumSeqs: number;
    prefixCaching: boolean;
    kvDtype: string;
  };
}

const devices: Readonly<Record<string, string>> = {
  '8.0': 'a100-80gb-sxm',
  '8.9': 'l40s',
  '9.0': 'h100-sxm',
  '10.0': 'b200',
};

const lines: OracleLine[] = readFileSync(new URL('../../ground-truth/vllm-oracle.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as OracleLine);

const architectures = new Map<string, Architecture>();

function resolve(model: string, version: string, gpu: string, options: Partial<EngineOptions> = {}) {
  const spec = modelOf(model);
  const architecture = architectures.get(model) ?? expandArchitecture(spec);
  architectures.set(model, architecture);
  return resolveOptions({
    options: { ...defaultParallel, ...options },
    spec,
    architecture,
    gpu: gpuOf(gpu),
    profile: profileOf(version),
  });
}

describe('resolved options of released vLLMs', () => {
  // InternLM has no configuration class: the line's dtype is that of a configuration without one.
  const judged = lines.filter((line) => line.resolved && !(line.model === 'internlm-7b' && line.configFilled));

  it('agree in every line', () => {
    const wrong: string[] = [];
    for (const line of judged) {
      const { flags = {}, resolved: expected } = line;
      const { resolved, error } = resolve(line.model, line.engine.split('@')[1]!, devices[line.capability]!, {
        tensorParallelSize: line.tp,
        pipelineParallelSize: line.pp,
        enforceEager: true,
        ...(line.quantization ? { quantization: line.quantization } : {}),
        ...(flags.block_size ? { blockSize: flags.block_size as number } : {}),
        ...(flags.kv_cache_dtype ? { kvCacheDtype: flags.kv_cache_dtype as string } : {}),
        ...(flags.max_num_batched_tokens ? { maxNumBatchedTokens: flags.max_num_batched_tokens as number } : {}),
        ...(flags.enable_prefix_caching === undefined
          ? {}
          : { enablePrefixCaching: flags.enable_prefix_caching as boolean }),
      });
      const found = {
        dtype: resolved.dtype,
        maxModelLen: resolved.maxModelLen,
        batchedTokens: resolved.maxNumBatchedTokens,
        maxNumSeqs: resolved.maxNumSeqs,
        prefixCaching: resolved.enablePrefixCaching,
        kvDtype: resolved.kvCacheDtype === resolved.dtype ? 'auto' : resolved.kvCacheDtype,
      };
      const { dtype, maxModelLen, batchedTokens, maxNumSeqs, prefixCaching, kvDtype } = expected!;
      const want = { dtype, maxModelLen, batchedTokens, maxNumSeqs, prefixCaching, kvDtype };
      if (error || JSON.stringify(found) !== JSON.stringify(want)) wrong.push(`${line.id} ${JSON.stringify(found)}`);
    }
    expect(judged.length).toBe(1610);
    expect(wrong).toEqual([]);
  });
});

describe('defaults by release', () => {
  it.each([
    ['0.7.3', 'a100-80gb-sxm', 'v0', 'v1'],
    ['0.8.5', 'a100-80gb-sxm', 'v1', 'v1'],
    ['0.8.5', 't4', 'v0', 'v1'],
    ['0.19.0', 'h100-sxm', 'v1', 'v1'],
    ['0.22.0', 'h100-sxm', 'v1', 'v1'],
    ['0.23.0', 'h100-sxm', 'v1', 'v2'],
    ['0.33.0', 'h100-sxm', 'v1', 'v2'],
  ] as const)('%s on %s runs %s with runner %s', (version, gpu, engine, runner) => {
    expect(resolve('llama-3.1-8b', version, gpu, { dtype: 'float16' }).resolved).toMatchObject({ engine, runner });
  });

  it.each([
    ['0.9.2', 67, 512],
    ['0.11.0', 67, 512],
    ['0.19.0', 51, 512],
    ['0.33.0', 51, 512],
  ])('%s captures %d sizes up to %d', (version, count, largest) => {
    const { captureSizes } = resolve('llama-3.1-8b', version, 'h100-sxm').resolved;
    expect([captureSizes.length, captureSizes.at(-1)]).toEqual([count, largest]);
  });

  it('captures up to 1024 on data-center Blackwell from 0.28, and for gpt-oss', () => {
    expect(resolve('llama-3.1-8b', '0.28.0', 'b200').resolved.captureSizes).toHaveLength(83);
    expect(resolve('gpt-oss-20b', '0.19.0', 'h100-sxm').resolved.captureSizes).toHaveLength(83);
    expect(resolve('llama-3.1-8b', '0.28.0', 'l40s').resolved.captureSizes).toHaveLength(51);
  });

  it('keeps two batches in flight with asynchronous scheduling', () => {
    expect(resolve('llama-3.1-8b', '0.13.0', 'h100-sxm').resolved.maxConcurrentBatches).toBe(1);
    expect(resolve('llama-3.1-8b', '0.14.0', 'h100-sxm').resolved.maxConcurrentBatches).toBe(2);
    const pipeline = { pipelineParallelSize: 4 };
    expect(resolve('llama-3.1-8b', '0.19.0', 'h100-sxm', pipeline).resolved.maxConcurrentBatches).toBe(4);
    expect(resolve('llama-3.1-8b', '0.29.0', 'h100-sxm', pipeline).resolved.maxConcurrentBatches).toBe(5);
  });

  it('lets hybrids cache prefixes in mode align from 0.28', () => {
    expect(resolve('granite-4.0-h-small', '0.27.1', 'h100-sxm').resolved.mambaCacheMode).toBe('none');
    expect(resolve('granite-4.0-h-small', '0.28.0', 'h100-sxm').resolved.mambaCacheMode).toBe('align');
    const asked = { enablePrefixCaching: true };
    expect(resolve('granite-4.0-h-small', '0.20.2', 'h100-sxm', asked).resolved.mambaCacheMode).toBe('all');
  });

  it('refuses a longer context than the configuration allows, unless told otherwise', () => {
    const longer = { maxModelLen: 262144 };
    expect(resolve('llama-3.1-8b', '0.19.0', 'h100-sxm', longer).error).toContain(
      'User-specified max_model_len (262144) is greater than the derived max_model_len (max_position_embeddings=131072',
    );
    const env = { VLLM_ALLOW_LONG_MAX_MODEL_LEN: '1' };
    expect(resolve('llama-3.1-8b', '0.19.0', 'h100-sxm', { ...longer, env }).error).toBeUndefined();
  });

  it('plans bfloat16 checkpoints in float16 below compute capability 8.0', () => {
    const { resolved, diagnostics } = resolve('llama-3.1-8b', '0.7.3', 't4');
    expect(resolved.dtype).toBe('float16');
    expect(diagnostics.map((entry) => entry.code)).toEqual(['VRAM401']);
    expect(resolve('llama-3.1-8b', '0.19.0', 't4').diagnostics).toEqual([]);
  });
});
