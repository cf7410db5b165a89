// What GPUs do with formats, as the engines document it, and which releases have a scheme.
import { describe, expect, it } from 'vitest';
import { compareVersions, parseVersion } from '../../../src/engines/vllm/profile.ts';
import { loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { type EngineAt, engineSupport, hardwareSupport } from '../../../src/plan/quantize/support.ts';
import { findScheme } from '../../../src/spec/quantization.ts';

const { laws } = loadPresets('hardware-formats');
const schemes = loadPresets('quantizations');
const vllm = (version: string): EngineAt => ({
  id: 'vllm',
  version,
  atLeast: (other) => compareVersions(parseVersion(version)!, parseVersion(other)!) >= 0,
});
const llama: EngineAt = { id: 'llama.cpp', version: 'v0.5.0', atLeast: () => true };

describe('hardware', () => {
  it.each([
    ['fp8-dynamic', 'h100-sxm', 'native'],
    ['fp8-dynamic', 'l4', 'native'],
    ['fp8-dynamic', 'a100-80gb-sxm', 'weight-only'],
    ['fp8-dynamic', 't4', 'weight-only'],
    ['fp8-dynamic', 'mi300x', 'native'],
    ['fp8-dynamic', 'mi250x', 'impossible'],
    ['w8a8', 'a100-80gb-sxm', 'native'],
    ['w8a8', 'rtx5090', 'impossible'],
    ['w8a8', 'p100-16gb', 'impossible'],
    ['nvfp4', 'b200', 'native'],
    ['nvfp4', 'h100-sxm', 'weight-only'],
    ['w4a16', 't4', 'weight-only'],
    ['gptq', 'p100-16gb', 'weight-only'],
    ['awq', 'v100-16gb', 'impossible'],
    ['bf16', 't4', 'impossible'],
    ['bf16', 'm4-max-64gb', 'impossible'],
    ['w4a16', 'arc-b580', 'unknown'],
  ])('vLLM: %s on %s is %s', (id, gpu, level) => {
    const { law } = findScheme(schemes, id)!;
    expect(hardwareSupport(laws, law, loadPreset('gpus', gpu), vllm('0.33.0')).level).toBe(level);
  });

  it.each([
    ['q4_k_m', 'rtx4090', 'weight-only'],
    ['q4_k_m', 'p100-16gb', 'emulated'],
    ['q4_k_m', 'm4-max-64gb', 'weight-only'],
    ['gguf-bf16', 't4', 'emulated'],
    ['mxfp4_moe', 'rtx5090', 'native'],
  ])('llama.cpp: %s on %s is %s', (id, gpu, level) => {
    const { law } = findScheme(schemes, id)!;
    expect(hardwareSupport(laws, law, loadPreset('gpus', gpu), llama).level).toBe(level);
  });

  it('moves with the release: Marlin takes Turing from 0.14 on', () => {
    const t4 = loadPreset('gpus', 't4');
    expect(hardwareSupport(laws, 'fp8', t4, vllm('0.13.0')).level).toBe('impossible');
    expect(hardwareSupport(laws, 'fp8', t4, vllm('0.14.1')).level).toBe('weight-only');
  });

  it('every scheme that an engine has has a law there', () => {
    for (const { id, law, engines = ['vllm'] } of schemes) {
      if (engines.length === 0 || id === 'none') continue;
      expect(laws[engines[0]!]?.[law!], id).toBeDefined();
    }
  });
});

describe('engine releases', () => {
  it.each([
    ['bitsandbytes', '0.27.1', true],
    ['bitsandbytes', '0.28.0', false],
    ['gptq-act', '0.29.0', true],
    ['gptq-act', '0.30.0', false],
    ['nvfp4', '0.8.5', false],
    ['nvfp4', '0.9.2', true],
    ['aqlm-1x16', '0.10.0', true],
    ['aqlm-1x16', '0.10.1', false],
    ['q4_k_m', '0.23.0', true],
    ['q4_k_m', '0.24.0', false],
  ])('%s in vLLM %s: %s', (id, version, supported) => {
    expect(engineSupport(findScheme(schemes, id)!, vllm(version)).supported).toBe(supported);
  });
});
