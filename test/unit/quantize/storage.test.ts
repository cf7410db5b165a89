// What schemes store, against published sizes: files of repositories, rows of llama-quantize's own table, and the tensors that vLLM holds.
import { describe, expect, it } from 'vitest';
import { applyMix } from '../../../src/accounting/gguf-mix/index.ts';
import { ggufStorage } from '../../../src/accounting/gguf-storage.ts';
import { checkpointStorage } from '../../../src/accounting/storage.ts';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { findScheme } from '../../../src/spec/quantization.ts';
import { planJson } from '../../ground-truth/in-process.ts';

const schemes = loadPresets('quantizations');

function stored(model: string, scheme: string) {
  return checkpointStorage(expandArchitecture(loadPreset('models', model)), findScheme(schemes, scheme));
}

describe('what a checkpoint stores', () => {
  // Linear values of Llama-3.1-8B: 32 layers of 4096 x (4096 + 1024 + 1024 + 4096 + 3 x 14336) = 6,979,321,856.
  const linear = 32 * 4096 * (4096 + 1024 + 1024 + 4096 + 3 * 14336);
  const rest = 8_030_261_248 - linear;

  it('divides every parameter between quantized values and 16 bit', () => {
    expect(stored('llama-3.1-8b', 'awq')).toMatchObject({
      weightsBytes: linear / 2,
      scalesBytes: (linear / 128) * 2,
      zeroPointsBytes: linear / 128 / 2,
      sixteenBitBytes: rest * 2,
      otherBytes: 0,
      parameters: 8_030_261_248,
    });
  });

  // What vLLM holds after loading on one Ada GPU, where no kernel pads these shapes: the same but for the rotary table and workspaces.
  it.each(['awq', 'w4a16', 'w8a8', 'fp8-dynamic', 'nvfp4', 'bf16'])(
    'is what an engine then holds: %s',
    async (scheme) => {
      const plan = await planJson(['-m', 'llama-3.1-8b', '-g', 'l40s', '-q', scheme]);
      const { tensorBytes } = plan.result.devices[0]!.weights;
      expect(stored('llama-3.1-8b', scheme).totalBytes / tensorBytes).toBeGreaterThan(0.994);
      expect(stored('llama-3.1-8b', scheme).totalBytes / tensorBytes).toBeLessThan(1.0005);
    },
  );

  it('counts scales by the format', () => {
    const of = (scheme: string) => stored('llama-3.1-8b', scheme);
    expect(of('nvfp4').scalesBytes).toBeGreaterThanOrEqual(linear / 16);
    expect(of('mxfp4-w4a4').scalesBytes).toBe(linear / 32);
    expect(of('bitsandbytes').scalesBytes).toBe(linear / 64 + (linear / 64 / 256) * 4);
    expect(of('bnb-nf4-single').scalesBytes).toBe((linear / 64) * 4);
    expect(of('hqq').zeroPointsBytes).toBe((linear / 64) * 2);
    expect(of('w4a16-channel').scalesBytes * 32).toBeLessThan(of('w4a16').scalesBytes);
  });

  it('sums to the total, in every scheme of every kind of model', () => {
    for (const model of [
      'llama-3-70b',
      'qwen3-30b-a3b',
      'gpt-oss-20b',
      'gemma-3-27b',
      'deepseek-v2-lite',
      'falcon-h1-0.5b',
    ]) {
      for (const scheme of schemes) {
        const { totalBytes, parameters, ...parts } = stored(model, scheme.id);
        expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBe(totalBytes);
        expect(Object.values(parts).every((bytes) => Number.isSafeInteger(bytes) && bytes >= 0)).toBe(true);
        expect((8 * totalBytes) / parameters).toBeLessThanOrEqual(32);
      }
    }
  });
});

describe('what a GGUF file stores', () => {
  const spec = loadPreset('models', 'llama-3.1-8b');
  const source = toGguf(spec, expandArchitecture(spec))!;

  // tools/quantize/README.md, meta-llama/Llama-3.1-8B.
  it.each([
    ['q4_k_m', 4.8944],
    ['q8_0', 8.5008],
    ['q6_k', 6.5633],
    ['iq2_xxs', 2.3824],
    ['iq1_s', 2.0042],
    ['f16', 16.0005],
  ])('bits per weight of %s as llama.cpp documents them', (mix, bits) => {
    const { totalBytes, parameters } = ggufStorage(applyMix(source, mix));
    expect((8 * totalBytes) / parameters).toBeCloseTo(bits, 3);
  });

  it('knows values and scales of a block apart', () => {
    const { weightsBytes, scalesBytes, zeroPointsBytes } = ggufStorage(applyMix(source, 'q8_0'));
    expect(scalesBytes / weightsBytes).toBeCloseTo(2 / 32, 6);
    expect(zeroPointsBytes).toBe(0);
    expect(ggufStorage(applyMix(source, 'q4_1')).zeroPointsBytes).toBeGreaterThan(0);
  });
});
