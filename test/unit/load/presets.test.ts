import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findPreset, loadPreset, loadPresets, presetIds } from '../../../src/load/presets.ts';
import { MiB } from '../../../src/units.ts';

describe('compiled presets', () => {
  it('hold every file, one by one as in the whole', () => {
    for (const kind of ['models', 'gpus'] as const) {
      const files = readdirSync(`presets/${kind}`).map((name) => name.replace(/\.yaml$/, ''));
      expect([...presetIds(kind)].sort()).toEqual(files.sort());
      const one = presetIds(kind).map((id) => loadPreset(kind, id));
      expect(one).toEqual(loadPresets(kind));
    }
  });

  it('know what public logs printed as the total', () => {
    // GiB as vLLM prints it, two decimals.
    const printed: Record<string, string> = {
      'h100-sxm': '79.19',
      'h200-sxm': '139.80',
      rtx4090: '23.64',
      l40s: '44.39',
      'v100-32gb': '31.73',
      b200: '178.35',
      mi300x: '191.98',
    };
    for (const [id, total] of Object.entries(printed)) {
      expect((loadPreset('gpus', id).cudaTotalBytes / 2 ** 30).toFixed(2), id).toBe(total);
    }
    expect(loadPreset('gpus', 'h100-sxm').driverTotalBytes).toBe(81559 * MiB);
  });

  it('keep CUDA totals at or below what the driver reports', () => {
    for (const gpu of loadPresets('gpus')) {
      expect(gpu.cudaTotalBytes, gpu.id).toBeLessThanOrEqual(gpu.driverTotalBytes * 1.001);
      if (gpu.vendor === 'nvidia' && !gpu.sliceOf) expect(gpu.multiprocessors, gpu.id).toBeGreaterThan(0);
    }
  });

  it('find an entry by any of its names', () => {
    for (const model of loadPresets('models')) {
      for (const name of [model.id, model.hfId!, ...(model.aliases ?? [])]) {
        expect(findPreset('models', name.toUpperCase())?.id, name).toBe(model.id);
      }
    }
    for (const gpu of loadPresets('gpus')) expect(findPreset('gpus', gpu.id)?.id).toBe(gpu.id);
  });

  it('write short forms out', () => {
    const gemma = loadPreset('models', 'gemma-3-27b').config;
    expect(gemma.layerTypes).toHaveLength(62);
    expect(gemma.layerTypes![5]).toBe('full_attention');
    const nemotron = loadPreset('models', 'nemotron-super-49b').config;
    expect(nemotron.blockConfigs).toHaveLength(80);
    const glm = loadPreset('models', 'glm-5-fp8').quantization!;
    expect(glm.modulesToNotConvert).toContain('model.layers.77.self_attn.indexers_proj');
  });
});
