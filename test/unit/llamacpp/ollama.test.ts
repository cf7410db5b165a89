// Ollama's decisions against the expectations of its own tests (ollama/ollama v0.32.15: server/sched_test.go, llm/llama_server_test.go)
// and against its tags: which build each version starts.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { noMmapReason, ollamaFlashAttention } from '../../../src/engines/llamacpp/ollama/launch.ts';
import { availableTogether, nextToEvict, placeOllama } from '../../../src/engines/llamacpp/ollama/placement.ts';
import { automaticBatch, predictServerBytes, tierContext } from '../../../src/engines/llamacpp/ollama/predict.ts';
import {
  modelfile,
  type OllamaBook,
  type OllamaGpu,
  type OllamaPlan,
  type OllamaRequest,
  ollamaEnvironment,
  ollamaOptions,
  ollamaVersion,
} from '../../../src/engines/llamacpp/ollama.ts';
import type { GgufModel, GgufValue } from '../../../src/spec/gguf.ts';
import { GiB, MiB } from '../../../src/units.ts';

const book = parse(
  readFileSync(new URL('../../../presets/engines/ollama.yaml', import.meta.url), 'utf8'),
) as OllamaBook;
const { rules } = ollamaVersion(book);
const GB = 1e9;

function model(metadata: Record<string, GgufValue> = {}, architecture = 'llama'): GgufModel {
  const llama8b = {
    block_count: 32,
    context_length: 131072,
    embedding_length: 4096,
    'attention.head_count': 32,
    'attention.head_count_kv': 8,
  };
  return { architecture, metadata: { ...llama8b, ...metadata }, tensors: [], vocabSize: 128256 };
}

const cuda = (freeBytes: number, more: Partial<OllamaGpu> = {}): OllamaGpu => ({
  library: 'CUDA',
  totalBytes: freeBytes,
  freeBytes,
  computeCapability: '8.9',
  ...more,
});

function plan(more: Partial<OllamaRequest> = {}): OllamaPlan {
  return ollamaOptions({ rules, model: model(), fileBytes: 4_920_734_272, gpus: [cuda(24 * GiB)], ...more });
}

describe('versions', () => {
  it.each([
    ['0.30.0', 'b9452'],
    ['0.30.11', 'b9781'],
    ['0.31.1', 'b9840'],
    ['0.32.2', 'b10069'],
    ['0.32.13', 'b10380'],
    ['v0.32.15', 'b10488'],
  ])('%s starts %s', (version, build) => {
    expect(ollamaVersion(book, version)).toMatchObject({ build, read: true });
  });

  it('a newer one stands as the newest read; one with engines of its own is refused', () => {
    expect(ollamaVersion(book, '0.40.1')).toMatchObject({ version: '0.32.15', read: false });
    expect(ollamaVersion(book).version).toBe('0.32.15');
    expect(() => ollamaVersion(book, '0.24.0')).toThrow(/engines of its own/);
    expect(() => ollamaVersion(book, 'latest')).toThrow(/no Ollama version/);
  });

  it('what changed between versions', () => {
    const at = (version: string) => ollamaVersion(book, version).rules;
    expect(at('0.32.5')['load-mode'].noMmap).toEqual(['--no-mmap']);
    expect(at('0.32.6')['load-mode'].noMmap).toEqual(['--load-mode', 'none']);
    expect(at('0.31.1')['flash-attention-capability']).toBe(7);
    expect(at('0.31.2').projector.fitTarget).toBe(true);
  });
});

describe('context', () => {
  it.each([
    // docs.ollama.com/context-length: below 24 GiB 4k, to 48 GiB 32k, from there 256k.
    [[8 * GiB], 4096],
    [[23.5 * GiB], 32768],
    [[24 * GiB, 24 * GiB], 262144],
    [[], 4096],
  ])('%j', (sizes, ctx) => {
    const gpus = sizes.map((size) => cuda(size));
    expect(tierContext(rules, gpus, 0)).toBe(ctx);
  });

  it('the overhead counts against the tier only', () => {
    const { options, availableBytes, diagnostics } = plan({ environment: { gpuOverheadBytes: 2 * GiB } });
    expect(options.ctxSize).toBe(4096);
    expect(availableBytes).toBe(24 * GiB);
    expect(diagnostics).toMatchObject([{ code: 'VRAM551' }]);
  });

  it('the request before the environment before the tier, never above the training length', () => {
    expect(plan({ parameters: { numCtx: 8192 }, environment: { contextLength: 16384 } }).numCtx).toBe(8192);
    expect(plan({ environment: { contextLength: 16384 } })).toMatchObject({ numCtx: 16384, numCtxAuto: false });
    const auto = plan({ gpus: [cuda(80 * GiB)] });
    expect(auto).toMatchObject({ numCtx: 131072, numCtxAuto: true, retryNumCtx: 32768 });
  });

  it('every slot has the whole context (docs/faq: 2K x 4 = 8K)', () => {
    const four = plan({ parameters: { numCtx: 2048 }, environment: { numParallel: 4 } });
    expect(four.options).toMatchObject({ ctxSize: 8192, parallel: 4 });
    expect(plan({ model: model({}, 'qwen3next'), environment: { numParallel: 4 } }).numParallel).toBe(1);
  });
});

it('PredictServerVRAM: file and an f16 cache', () => {
  expect(predictServerBytes(model(), 5 * GB, 32768)).toBe(5 * GB + 2 * 32 * 8 * 128 * 32768 * 2);
  const hybrid = model({ 'attention.head_count_kv': [0, 8, 0, 8], 'attention.head_count': [32, 32, 32, 32] });
  expect(predictServerBytes(hybrid, 0, 1024)).toBe(2 * 32 * 1 * 128 * 1024 * 2);
});

describe('TestAutomaticGenerationBatch', () => {
  const gpu = (free: number): OllamaGpu[] => [{ library: 'CUDA', totalBytes: 0, freeBytes: free }];
  it.each([
    ['small context keeps default', 4096, 0, 0, 'auto', [], 512],
    ['medium context with unknown memory', 32768, 0, 0, 'auto', [], 1024],
    ['large context with headroom', 131072, 8 * GiB, 14 * GiB, 'auto', [], 2048],
    ['large context without 2048 headroom', 131072, 9 * GiB, 14 * GiB, 'auto', [], 1024],
    ['large context steps down for headroom', 131072, 8 * GiB, 11 * GiB, 'auto', [], 1024],
    ['medium context steps down for headroom', 32768, 8500 * MiB, 11 * GiB, 'auto', [], 512],
    ['flash attention disabled', 131072, 8 * GiB, 14 * GiB, 'off', gpu(14 * GiB), 512],
    ['constrained CUDA without flash attention', 131072, 3 * GiB, 6 * GiB, 'off', gpu(6 * GiB), 256],
  ] as const)('%s', (_, ctx, predictedBytes, availableBytes, flashAttention, gpus, batch) => {
    expect(automaticBatch(rules, { ctx, predictedBytes, availableBytes, flashAttention, gpus })).toBe(batch);
  });
});

describe('TestSelectLlamaServerPlacement', () => {
  const gpu = (library: OllamaGpu['library'], free: number, integrated = false): OllamaGpu => ({
    library,
    totalBytes: free,
    freeBytes: free,
    integrated,
  });
  const place = (gpus: OllamaGpu[], predicted: number, more: Partial<OllamaRequest> = {}) =>
    placeOllama({ rules, gpus, systemFreeBytes: 14 * GB, ...more }, predicted);

  it('compacts onto the largest GPU of the backend', () => {
    expect(place([gpu('CUDA', 10 * GB), gpu('CUDA', 20 * GB)], 8 * GB)).toMatchObject({ gpus: [1], mainGpu: 0 });
  });
  it('an explicit main GPU selects the matching backend', () => {
    const gpus = [gpu('CUDA', 10 * GB), gpu('ROCm', 20 * GB), gpu('ROCm', 24 * GB)];
    expect(place(gpus, 8 * GB, { parameters: { mainGpu: 1 } })).toMatchObject({ gpus: [2], mainGpu: 0 });
  });
  it('an integrated GPU has what the host has free', () => {
    expect(place([gpu('Metal', 32 * GB, true), gpu('Metal', 16 * GB)], 12 * GB)).toMatchObject({ gpus: [1] });
  });
  it('prefers the discrete GPU', () => {
    expect(place([gpu('Vulkan', 32 * GB, true), gpu('Vulkan', 10 * GB)], 8 * GB)).toMatchObject({ gpus: [1] });
  });
  it('spread takes all', () => {
    const spread = place([gpu('CUDA', 10 * GB), gpu('CUDA', 20 * GB)], 8 * GB, { environment: { schedSpread: true } });
    expect(spread).toMatchObject({ gpus: [0, 1], placement: 'spread' });
    expect(spread.mainGpu).toBeUndefined();
  });
  it('no single fit: the best backend', () => {
    const gpus = [gpu('CUDA', 10 * GB), gpu('CUDA', 18 * GB), gpu('ROCm', 12 * GB)];
    expect(place(gpus, 30 * GB)).toMatchObject({ gpus: [0, 1], placement: 'spread', availableBytes: 28 * GB });
  });

  it.each([
    ['integrated metal uses lower system free', 80, [gpu('Metal', 300 * GB, true)], 80],
    ['integrated gpu uses lower system free', 6, [gpu('Vulkan', 12 * GB, true)], 6],
    ['discrete metal ignores lower system free', 6, [gpu('Metal', 12 * GB)], 12],
    ['discrete gpu ignores lower system free', 6, [gpu('CUDA', 12 * GB)], 12],
    ['mixed gpus only clamp integrated contribution', 6, [gpu('CUDA', 12 * GB), gpu('Vulkan', 10 * GB, true)], 18],
    ['shared gpu keeps lower adjusted gpu baseline', 20, [gpu('Metal', 12 * GB, true)], 12],
  ])('TestAvailableMemoryForLoad: %s', (_, systemFree, gpus, available) => {
    expect(availableTogether([...gpus.keys()], gpus, systemFree * GB)).toBe(available * GB);
  });
});

describe('flash attention, mmap, embeddings', () => {
  it('TestAppendFlashAttentionArgs', () => {
    const old = [cuda(8 * GiB), cuda(8 * GiB, { computeCapability: '5.0' })];
    expect(ollamaFlashAttention(rules, [cuda(8 * GiB)], undefined)).toBe('auto');
    expect(ollamaFlashAttention(rules, [cuda(8 * GiB)], false)).toBe('off');
    expect(ollamaFlashAttention(rules, old, undefined)).toBe('off');
    expect(ollamaFlashAttention(rules, old, true)).toBe('on');
    const pascal = [cuda(8 * GiB, { computeCapability: '6.1' })];
    expect(ollamaFlashAttention(rules, pascal, undefined)).toBe('auto');
    expect(ollamaFlashAttention(ollamaVersion(book, '0.31.1').rules, pascal, undefined)).toBe('off');
  });

  const reason = (
    os: OllamaRequest['os'],
    gpus: OllamaGpu[],
    more: Partial<OllamaRequest> = {},
    room = { predictedBytes: 0, availableBytes: 0 },
  ) =>
    noMmapReason({
      request: { rules, model: model({ block_count: 20 }), fileBytes: 20 * GB, gpus, os, ...more },
      gpus,
      loaded: [],
      ...room,
    });
  const metal: OllamaGpu[] = [{ library: 'Metal', totalBytes: 0, freeBytes: 0 }];

  it('TestDisableMmapDefaultReason', () => {
    const one = [cuda(80 * GB)];
    expect(reason('windows', one, { parameters: { useMmap: true } })).toBeUndefined();
    expect(reason('linux', one, { parameters: { numGpu: 0 } })).toBe('no GPU');
    expect(reason('linux', [])).toBe('no GPU');
    expect(reason('windows', one)).toBe('CUDA on Windows');
    expect(reason('darwin', metal, { parameters: { numGpu: 10 } })).toBe('partial offload on Metal');
    expect(reason('darwin', metal, { parameters: { numGpu: 21 } })).toBeUndefined();
    expect(reason('darwin', metal, {}, { predictedBytes: 30 * GB, availableBytes: 20 * GB })).toBe(
      'partial offload on Metal',
    );
    expect(reason('darwin', metal, {}, { predictedBytes: 10 * GB, availableBytes: 20 * GB })).toBeUndefined();
    expect(reason('linux', one)).toBeUndefined();
  });

  it('TestDisableMmapForHostPressure', () => {
    const host = { systemTotalBytes: 100 * GB, systemFreeBytes: 50 * GB };
    const room = { predictedBytes: 30 * GB, availableBytes: 80 * GB };
    const loaded = [{ name: 'a', gpuBytes: [], keepAliveSeconds: 300, idle: true, mmapBytes: 25 * GB }];
    const pressed = (os: 'linux' | 'darwin', gpus: OllamaGpu[], at = room) =>
      noMmapReason({
        request: { rules, model: model(), fileBytes: 20 * GB, gpus, os, ...host },
        gpus,
        loaded,
        ...at,
      });
    const one = [cuda(80 * GB)];
    expect(pressed('linux', one)).toBe('little host memory free');
    expect(pressed('darwin', one)).toBeUndefined();
    expect(pressed('linux', [cuda(80 * GB, { integrated: true })])).toBeUndefined();
    expect(pressed('linux', one, { ...room, predictedBytes: 70 * GB })).toBeUndefined();
  });

  it('TestEmbeddingBatchSize: capped to the context', () => {
    const embedding = model({ pooling_type: 1, context_length: 512 });
    expect(plan({ model: embedding }).options).toMatchObject({ batch: 512, ubatch: 512, embedding: true, parallel: 1 });
  });

  it('TestMMProjFitTargetExtraEnvs: 933 MiB and 1 GiB', () => {
    const vision = { projectorBytes: 933 * MiB };
    expect(plan(vision).env).toEqual({ LLAMA_ARG_FIT_TARGET: '1957' });
    expect(plan({ ...vision, environment: { fitTargetMiB: 256 } }).env).toEqual({ LLAMA_ARG_FIT_TARGET: '256' });
    expect(plan({ ...vision, rules: ollamaVersion(book, '0.31.1').rules }).env).toEqual({});
    expect(plan({ ...vision, gpus: [cuda(1.5 * GiB)] }).projectorOnCpu).toBe('little GPU memory');
  });
});

describe('a run', () => {
  it('on one 24 GiB card: 32k, batch 1024, everything else llama.cpp decides', () => {
    const run = plan();
    expect(run.arguments.join(' ')).toBe('-c 32768 -np 1 --flash-attn auto -b 1024 -ub 1024');
    expect(run).toMatchObject({ placement: 'only gpu', predictedToFit: true, evict: [], env: {} });
    expect(run.options).toEqual({ ctxSize: 32768, parallel: 1, batch: 1024, ubatch: 1024, flashAttn: 'auto' });
  });

  it('on two cards a model that one of them holds stays on it', () => {
    const run = plan({ gpus: [cuda(12 * GiB), cuda(24 * GiB)], environment: { kvCacheType: 'Q8_0' } });
    expect(run.gpus).toEqual([1]);
    expect(run.arguments).toContain('--main-gpu');
    expect(run.options).toMatchObject({ splitMode: 'none', mainGpu: 0, cacheTypeK: 'q8_0', cacheTypeV: 'q8_0' });
  });

  it('a model that fits nowhere is started all the same: fit places its layers', () => {
    const run = plan({ fileBytes: 40 * GB, gpus: [cuda(12 * GiB), cuda(12 * GiB)] });
    expect(run).toMatchObject({ placement: 'spread', predictedToFit: false, gpus: [0, 1] });
    expect(run.options.gpuLayers).toBeUndefined();
  });

  it('others are unloaded until it fits, idle ones and short keep-alives first', () => {
    const loaded = [
      { name: 'busy', gpuBytes: [4 * GiB], keepAliveSeconds: 10, idle: false },
      { name: 'long', gpuBytes: [6 * GiB], keepAliveSeconds: 3600, idle: true },
      { name: 'short', gpuBytes: [6 * GiB], keepAliveSeconds: 300, idle: true },
    ];
    expect(nextToEvict(loaded)?.name).toBe('short');
    const gpus = [cuda(24 * GiB, { freeBytes: 4 * GiB })];
    expect(plan({ gpus, loaded }).evict).toEqual(['short', 'long']);
    expect(plan({ gpus: [cuda(24 * GiB)], loaded }).evict).toEqual(['short']);
    expect(plan({ gpus: [cuda(24 * GiB)], loaded, environment: { maxLoadedModels: 9 } }).evict).toEqual([]);
  });

  it('a cache type that llama-server does not know', () => {
    expect(plan({ environment: { kvCacheType: 'fp8' } }).diagnostics).toMatchObject([{ severity: 'error' }]);
  });
});

describe('files', () => {
  it('a Modelfile', () => {
    const text = modelfile({
      from: './my model.gguf',
      parameters: { numCtx: 8192, numGpu: 20 },
      comment: 'planned\u001b[2J',
    });
    expect(text).toBe('# planned\ufffd[2J\nFROM "./my model.gguf"\nPARAMETER num_ctx 8192\nPARAMETER num_gpu 20\n');
    expect(modelfile({ from: 'hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M' })).toBe(
      'FROM hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M\n',
    );
  });

  it.each(['a\nSYSTEM evil', 'a"b', '', 'a\u2028b'])('refuses %j', (from) => {
    expect(() => modelfile({ from })).toThrow();
  });

  it('the environment', () => {
    const environment = { contextLength: 8192, flashAttention: true, keepAlive: '5m; rm -rf ~', gpuOverheadBytes: 0 };
    expect(ollamaEnvironment(environment)).toEqual([
      'export OLLAMA_CONTEXT_LENGTH=8192',
      'export OLLAMA_FLASH_ATTENTION=1',
      'export OLLAMA_GPU_OVERHEAD=0',
      "export OLLAMA_KEEP_ALIVE='5m; rm -rf ~'",
    ]);
    expect(ollamaEnvironment({ kvCacheType: 'q8_0', fitTargetMiB: 512 }, 'systemd')).toEqual([
      'Environment="OLLAMA_KV_CACHE_TYPE=q8_0"',
      'Environment="LLAMA_ARG_FIT_TARGET=512"',
    ]);
    expect(() => ollamaEnvironment({ keepAlive: '5m\nX=1' }, 'systemd')).toThrow(/control characters/);
    expect(() => ollamaEnvironment({ keepAlive: '$(x)' }, 'dotenv')).toThrow();
  });
});
