// Layers and model buffers against what released llama.cpp builds allocated, to the byte, and against published start-up logs.
import { describe, expect, it } from 'vitest';
import { freeDefaults } from '../../../src/engines/llamacpp/placement.ts';
import { load, toMiB } from './loads.ts';

const base = '-c 8192 -b 2048 -ub 512 -np 1';

describe('-ngl', () => {
  it('counts the output layer since late 2025 and took blocks alone before', () => {
    const newer = load({ model: 'llama-3.1-8b q4_k_m', flags: `${base} -ngl 20` }).placement;
    expect([newer.layers[12], newer.layers[13], newer.layers[32]]).toEqual(['cpu', 0, 0]);
    const older = load({ build: 'b6673', model: 'llama-3.1-8b q4_k_m', flags: `${base} -ngl 20` }).placement;
    expect([older.layers[11], older.layers[12], older.layers[32]]).toEqual(['cpu', 0, 'cpu']);
  });

  it('is everything without a value since b6673, nothing before', () => {
    expect(load({ model: 'llama-3.1-8b q4_k_m', flags: base }).placement.full).toBe(true);
    expect(load({ build: 'b5640', model: 'llama-3.1-8b q4_k_m', flags: base }).placement.layersPerGpu).toEqual([0]);
  });
});

/** Bytes per GPU, and MiB of the mapped file where that does not depend on the order of tensors in the file. */
describe('model buffers', () => {
  it.each([
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-ngl 16', 1, [2401460480], undefined],
    ['b6673', 'llama-3.1-8b q4_k_m', '-fa on -ngl 16', 1, [2093220096], undefined],
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-ngl 32', 1, [4478460160], undefined],
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-ngl 99 -ts 3,1', 2, [3246326016, 1371070720], 281.81],
    ['v0.5.0', 'llama-3.1-70b q4_k_m', '-ngl 99 -ts 3,1', 2, [31092113664, 10829414656], 563.63],
    ['v0.5.0', 'llama-3.2-1b q8_0', '-ngl 99', 4, [323174528, 258539648, 258539648, 472998016], 266.16],
    ['v0.5.0', 'command-r-v01 q4_k_m', '-ngl 99 -sm none', 2, [21516156928, 0], 1640.63],
    ['v0.5.0', 'mixtral-8x7b q4_k_m', '-ngl 99 -ot ffn_up_exps=CPU', 1, [19918282752], undefined],
    ['v0.5.0', 'mixtral-8x7b q4_k_m', '-ngl 99 --n-cpu-moe 32', 1, [1069080576], undefined],
    // Tied: the embedding is on the host and once more on the GPU of the output.
    ['b10361', 'qwen2.5-3b q4_k_m', '-ngl 99', 2, [877726464, 1046229248], 243.43],
    // Rows of 2880 values: quantized matrices are padded to whole rows of 512.
    ['b6673', 'gpt-oss-20b mxfp4', '-ngl 99', 1, [11481256960], 586.82],
    // Blocks of multi-token prediction are not loaded; b10068 loads the biases of Q, K and V.
    ['v0.5.0', 'glm-4.5-air q4_k_m', '-ngl 99', 2, [35436466304, 34653228288], 333],
    ['b10068', 'glm-4.5-air q4_k_m', '-ngl 99', 2, [35436466304, 34653285632], 333],
    // Factors of rotation lie on every GPU that has a layer of full attention.
    ['v0.5.0', 'gemma-4-e2b q4_0', '-ngl 99', 2, [452800256, 954155392], undefined],
    ['b10068', 'gemma-4-e2b q4_0', '-fa off -ngl 17', 1, [918291456], undefined],
    // b4753 cannot scan states on a GPU.
    ['b4753', 'mamba-130m f16', '-ngl 99', 1, [257055744], undefined],
    ['v0.5.0', 'lfm2-1.2b q4_k_m', '-ngl 8', 1, [381519360], undefined],
  ])('%s, %s, %s, %i GPUs', (build, model, flags, gpus, bytes, mapped) => {
    const { model: buffers } = load({ build, model, flags: `${base} ${flags}`, gpus });
    expect(buffers.gpus).toEqual(bytes);
    if (mapped !== undefined) expect(toMiB(buffers.mapped)).toBe(mapped);
  });

  it('of published logs: Llama 3 8B Q4_K_M 4403.49 + 281.81, on the host 4685.30', () => {
    const gpu = load({ build: 'b3100', model: 'llama-3.1-8b q4_k_m', flags: '-c 512 -ngl 99' }).model;
    expect([toMiB(gpu.gpus[0]!), toMiB(gpu.mapped)]).toEqual([4403.49, 281.81]);
    expect(toMiB(load({ build: 'b5389', model: 'llama-3.1-8b q4_k_m', flags: '-c 4096 -ngl 0' }).model.mapped)).toBe(
      4685.3,
    );
  });

  it('without mmap keeps what a GPU could multiply in pinned memory, an embedding of k-quants in plain memory', () => {
    const { model } = load({ model: 'llama-3.1-8b q4_k_m', flags: `${base} -ngl 16 --no-mmap` });
    expect(model.mapped).toBe(0);
    expect(toMiB(model.host)).toBe(281.81);
    expect(model.host + model.pinned).toBe(model.hostTensors);
  });

  it('splits matrices by rows in older builds, norms and all else as layers', () => {
    const flags = `${base} -fa on -ngl 99 -sm row`;
    const { model } = load({ build: 'b8390', model: 'llama-3.1-8b q4_k_m', flags, gpus: 2 });
    // The build prints 557312 + 508160 bytes of CUDA0 and CUDA1 and 2112.75 + 2289.73 MiB of split buffers.
    expect(toMiB(model.gpus[0]! + model.gpus[1]! - 557312 - 508160)).toBe(4402.48);
    expect(Math.abs(model.gpus[0]! / model.gpus[1]! - 1)).toBeLessThan(0.001);
  });
});

describe('shares of GPUs', () => {
  it('go by free memory unless -ts says otherwise', () => {
    const free = load({ model: 'llama-3.1-8b q4_k_m', flags: `${base} -ngl 99`, freeGiB: [48, 24] }).placement;
    expect(free.layersPerGpu).toEqual([22, 11]);
    const even = load({ model: 'llama-3.1-8b q4_k_m', flags: `${base} -ngl 99 -ts 1,1`, freeGiB: [48, 24] }).placement;
    expect(even.layersPerGpu).toEqual([17, 16]);
    expect(freeDefaults([24, 24, 24, 24])).toEqual([0.25, 0.25, 0.25, 0.25]);
  });

  it('of a published log: 32 blocks on four GPUs are 9, 8, 8 and 7 beside the output', () => {
    const { layersPerGpu } = load({
      build: 'b4753',
      model: 'llama-3.1-8b q4_k_m',
      flags: `${base} -ngl 33`,
      gpus: 4,
    }).placement;
    expect(layersPerGpu).toEqual([9, 8, 8, 8]);
  });
});
