// Starts that released builds end in an assertion, and what -fa auto became where tensors lie elsewhere than their layers: each line
// was asked of the build itself.
import { describe, expect, it } from 'vitest';
import { buildNumber } from '../../../src/engines/llamacpp/builds.ts';
import { type LlamaLoad, loadModel } from '../../../src/engines/llamacpp/load.ts';
import { readHparams } from '../../../src/engines/llamacpp/read-hparams.ts';
import { ggufOfPreset } from '../../../src/load/gguf-preset.ts';
import { loadLlamaRules } from '../../../src/load/presets.ts';
import { readLlamaWords } from '../../../src/spec/llama-options.ts';
import { GiB } from '../../../src/units.ts';

function load(build: string, name: string, flags: string, gpus = 1): LlamaLoad {
  const [preset = '', mix = ''] = name.split(' ');
  const { model } = ggufOfPreset(preset, mix);
  const { options } = readLlamaWords(flags.split(' '));
  const rules = loadLlamaRules(buildNumber(build)!);
  const freeBytes = Array.from({ length: gpus }, () => 1024 * GiB);
  return loadModel({ model, hparams: readHparams(model), rules, freeBytes }, options);
}

describe('assertions that end the process', () => {
  it.each([
    ['b10068', 'gemma-4-e2b q4_0', '-c 8192 -np 1 -fa on -ngl 17', 'split->n_inputs < GGML_SCHED_MAX_SPLIT_INPUTS', 1],
    ['v0.5.0', 'nomic-embed-text-v1.5 f16', '-c 512 -np 5 -ngl 99 --embedding', 'ggml_can_mul_mat(a, b)', 1],
    ['b5640', 'kimi-k2.5 q6_k', '-c 607 -np 1 -fa on -ngl 99', 'hparams.n_expert <= LLAMA_MAX_EXPERTS', 1],
    ['b5640', 'minicpm3-4b q4_k_s', '-c 2048 -np 1 -fa off -ngl 99', 'ggml_nelements(a) == ne0*ne1', 1],
    ['v0.5.0', 'glm-4.5-air q4_k_m', '-c 22345 -np 7 -ngl 27 -ot ffn_down=CUDA1 -sm none', 'in a buffer (CUDA1)', 3],
  ])('%s, %s, %s: %s', (build, model, flags, words, gpus) => {
    expect(load(build, model, flags, gpus).refusal).toContain(words);
  });

  it.each([
    ['b10361', 'gemma-4-e2b q4_0', '-c 8192 -np 1 -fa on -ngl 17'],
    ['b10068', 'gemma-4-e2b q4_0', '-c 8192 -b 256 -ub 4096 -np 7 -kvu -fa auto -ngl 17 --swa-full'],
    ['b8390', 'nomic-embed-text-v1.5 f16', '-c 512 -np 5 -ngl 99 --embedding'],
    ['b4753', 'minicpm3-4b q4_k_s', '-c 2048 -np 1 -fa off -ngl 99'],
  ])('%s, %s, %s: none', (build, model, flags) => {
    expect(load(build, model, flags).refusal).toBeUndefined();
  });
});

describe('-fa auto where tensors lie elsewhere than their layers', () => {
  it.each([
    ['v0.5.0', 'bge-reranker-v2-m3 q4_k_m', '-c 512 -np 5 -kvu -ngl 99 -ot blk\\.(0|2)\\.attn=CPU --embedding', false],
    ['b6673', 'qwen3-235b-a22b q4_k_m', '-c 16384 -b 256 -np 1 -fa auto -ngl 40 -ot attn_output=CUDA0', false],
    ['b10068', 'gemma-4-e2b q4_0', '-c 8192 -b 256 -ub 4096 -np 7 -kvu -fa auto -ngl 17 --swa-full', false],
    ['v0.5.0', 'olmo-2-7b q4_k_m', '-c 1201 -ub 256 -np 4 -kvu -fa auto -ngl 27 -ot attn_k=CPU', true],
  ])('%s, %s, %s: %s', (build, model, flags, on) => {
    expect(load(build, model, flags).context.flashAttn).toBe(on);
  });
});
