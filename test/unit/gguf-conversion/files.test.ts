// Tensor lists and hyperparameters of converted models, against what llama.cpp printed when it loaded such files: bytes of the
// model on one GPU with every layer there (v0.5.0), and the caches of its start-up logs.
import { describe, expect, it } from 'vitest';
import { applyMix } from '../../../src/accounting/gguf-mix/index.ts';
import { readHparams } from '../../../src/engines/llamacpp/read-hparams.ts';
import { ggmlTypes, isQuantized, rowBytes, tensorBytes } from '../../../src/spec/ggml-types.ts';
import type { GgufTensor } from '../../../src/spec/gguf.ts';
import { description } from '../gguf-mix/models.ts';

/** CUDA: 128-byte alignment, and quantized rows are padded to 512 values behind the tensor. */
function cudaBytes({ type, ne }: GgufTensor): number {
  const rest = isQuantized(type) ? (512 - ((ne[0] ?? 0) % 512)) % 512 : 0;
  const padding = rest > 0 && rest % ggmlTypes[type].block === 0 ? rowBytes(type, rest) : 0;
  return Math.ceil((tensorBytes(type, ne) + padding) / 128) * 128;
}

describe('model buffer on one GPU', () => {
  it.each([
    ['llama-3.1-8b', 'q4_k_m', 4617396480],
    ['llama-3.1-70b', 'q4_k_m', 41921528064],
    ['llama-3.2-1b', 'q8_0', 1313251456],
    ['qwen2.5-3b', 'q4_k_m', 1923955712],
    ['qwen2.5-7b', 'q4_k_m', 4370558976],
    ['qwen3-8b', 'q4_k_m', 4671766528],
    ['qwen3-14b', 'f16', 27981639680],
    ['qwen3-32b', 'q4_k_m', 19318598656],
    ['qwen3-235b-a22b', 'q4_k_m', 141798008832],
    ['gemma-2-9b', 'q4_k_m', 5755000832],
    ['gemma-3-12b', 'q4_k_m', 7294288000],
    ['gemma-4-e2b', 'q4_0', 1406954624],
    ['phi-3-mini-4k', 'q4_k_m', 2337086976],
    ['phi-4', 'q4_k_m', 8760545280],
    ['mixtral-8x7b', 'q4_k_m', 28373999616],
    ['deepseek-v2-lite', 'q4_k_m', 10246016768],
    ['gpt-oss-20b', 'mxfp4', 11481256960],
    ['falcon-mamba-7b', 'q8_0', 7480451072],
    ['mamba-130m', 'f16', 260004864],
    ['granite-4.0-h-small', 'q4_k_m', 19473043456],
    ['nemotron-nano-9b-v2', 'q4_k_m', 6114055936],
    ['qwen3.5-27b', 'q4_k_m', 15814123520],
    ['qwen3.5-35b-a3b', 'q4_k_m', 20872063488],
    ['command-r-v01', 'q4_k_m', 21516156928],
    ['starcoder2-7b', 'q8_0', 7627182080],
    ['lfm2-1.2b', 'q4_k_m', 728509440],
    ['smollm2-1.7b', 'q8_0', 1818632192],
    ['bge-large-en-v1.5', 'f16', 605265920],
    ['nomic-embed-text-v1.5', 'f16', 226646016],
    ['glm-4.5-air', 'q4_k_m', 70089694592],
  ])('%s %s: %i bytes', (id, mix, bytes) => {
    const model = applyMix(description(id), mix);
    const { layers, nextnLayers } = readHparams(model);
    const tied = !model.tensors.some(({ name }) => name === 'output.weight') && !model.architecture.includes('bert');
    const onCpu = ['per_layer_token_embd', 'position_embd', 'token_types', ...(tied ? [] : ['token_embd.'])];
    const drafting = (name: string) => nextnLayers > 0 && name.startsWith(`blk.${layers - 1}.`);
    const onGpu = model.tensors.filter(({ name }) => !onCpu.some((start) => name.startsWith(start)) && !drafting(name));
    expect(onGpu.reduce((total, tensor) => total + cudaBytes(tensor), 0)).toBe(bytes);
  });
});

describe('hyperparameters', () => {
  const read = (id: string) => readHparams(description(id));
  const where = (flags: readonly boolean[]) => flags.flatMap((flag, i) => (flag ? [i] : []));

  it('sliding blocks by architecture', () => {
    expect(where(read('gemma-2-2b').sliding)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24]);
    expect(where(read('gemma-3-4b').sliding.map((slides) => !slides))).toEqual([5, 11, 17, 23, 29]);
    expect(read('gpt-oss-20b')).toMatchObject({ window: 128 });
    expect(where(read('command-r7b').sliding.map((slides) => !slides)).slice(0, 3)).toEqual([3, 7, 11]);
    expect(read('phi-3-mini-4k')).toMatchObject({ window: 0 });
    expect(where(read('phi-3-mini-4k').sliding)).toEqual([]);
  });

  // Start-up logs: Qwen3.5-35B-A3B keeps a state in 30 blocks, R 30 x 3 x 8192 x 4 B and S 30 x 128 x 4096 x 4 B a sequence.
  it('recurrent blocks by architecture', () => {
    const qwen = read('qwen3.5-35b-a3b');
    expect(where(qwen.recurrent)).toHaveLength(30);
    expect(qwen.ssm).toMatchObject({ conv: 4, inner: 4096, state: 128, groups: 16 });
    expect(qwen.mrope).toBe(true);
    expect(where(read('granite-4.0-h-small').recurrent.map((recurs) => !recurs))).toEqual([5, 15, 25, 35]);
    expect(where(read('nemotron-nano-9b-v2').kvHeads.map((n) => n > 0))).toEqual([14, 21, 30, 39]);
    expect(where(read('jamba-1.5-mini').recurrent.map((recurs) => !recurs))).toEqual([4, 12, 20, 28]);
    expect(where(read('kimi-linear-48b-a3b').recurrent.map((recurs) => !recurs))).toEqual([3, 7, 11, 15, 19, 23, 26]);
  });

  it('multi-head latent attention is cached as one head', () => {
    const deepseek = read('deepseek-v3');
    expect(deepseek.mla).toEqual({ kvLoraRank: 512, qLoraRank: 1536, keyLength: 192, valueLength: 128 });
    expect([deepseek.kvHeads[0], deepseek.keyLength[0], deepseek.valueLength[0]]).toEqual([1, 576, 512]);
  });

  it('Gemma 4 E2B: 15 of 35 blocks keep K and V, full ones with longer heads', () => {
    const gemma = read('gemma-4-e2b');
    expect(gemma.kvFromStart).toBe(15);
    expect(gemma.keyLength.slice(0, 5)).toEqual([256, 256, 256, 256, 512]);
    expect(gemma.perLayerEmbedding).toBe(256);
  });

  it('GLM-4.5-Air: 47 blocks, the last only drafts', () => {
    expect(read('glm-4.5-air')).toMatchObject({ layers: 47, nextnLayers: 1 });
  });
});

describe('blocks of multi-token prediction', () => {
  it.each([
    ['qwen3.5-27b', 64],
    ['qwen3-next-80b-a3b', 48],
    ['nemotron-3-super-120b-a12b-fp8', 88],
    ['glm-4.7-flash', 47],
  ])('%s: only where asked for, as the newest converters write them', async (id, layers) => {
    expect(readHparams(description(id))).toMatchObject({ layers, nextnLayers: 0 });
    const { toGguf } = await import('../../../src/architecture/gguf/index.ts');
    const { expandArchitecture } = await import('../../../src/architecture/index.ts');
    const { loadPresets } = await import('../../../src/load/presets.ts');
    const spec = loadPresets('models').find((preset) => preset.id === id)!;
    const model = toGguf(spec, expandArchitecture(spec), { drafts: true })!;
    expect(readHparams(model)).toMatchObject({ layers: layers + 1, nextnLayers: 1 });
    const drafting = model.tensors.filter(({ name }) => name.startsWith(`blk.${layers}.`)).map(({ name }) => name);
    expect(drafting).toContain(`blk.${layers}.nextn.eh_proj.weight`);
    expect(drafting).toContain(`blk.${layers}.attn_norm.weight`);
  });
});
