// What ranks send per token, against the arithmetic by hand: two sums of the hidden state a layer (Megatron-LM), rings, hidden states
// and residual between stages, all tokens to all replicas around the experts.
import { describe, expect, it } from 'vitest';
import { planVllm } from '../../../src/engines/vllm/plan.ts';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { vllmRegistry } from '../../../src/load/flags.ts';
import { loadPreset } from '../../../src/load/presets.ts';
import { communicationOf } from '../../../src/plan/parallel/communication.ts';
import type { Communication } from '../../../src/plan/parallel/types.ts';
import { defaultParallel, type ParallelOptions } from '../../../src/spec/options.ts';

function sent(model: string, layout: Partial<ParallelOptions>, version = '0.33.0'): Communication {
  const spec = loadPreset('models', model);
  const engine = resolveEngineRef(`vllm@${version}`);
  const { release, profile } = engine;
  const options = { ...defaultParallel, ...layout };
  const gpus = [loadPreset('gpus', 'h200-sxm')];
  const { architecture, resolved } = planVllm(
    { spec, gpus, version: engine.version, release, profile, options },
    vllmRegistry(),
  );
  return communicationOf({ architecture, spec, profile, options: resolved });
}

describe('bytes that a rank sends per token', () => {
  const none = { tensorBytes: 0, pipelineBytes: 0, expertBytes: 0, contextBytes: 0 };

  it('are none on one GPU, and none between replicas of a dense model', () => {
    expect(sent('llama-3.1-8b', {})).toMatchObject({ bytesPerToken: 0, ...none });
    expect(sent('llama-3.1-8b', { dataParallelSize: 4 })).toMatchObject({ bytesPerToken: 0, ...none });
  });

  it('tensor parallel: 2 x 32 layers of 4096 values in 16 bit, the embedding, the scores', () => {
    const ring = (2 * 3) / 4;
    const hidden = 4096 * 2;
    const expected = ring * hidden * (2 * 32 + 1) + (128_256 / 4) * 3 * 2;
    expect(sent('llama-3.1-8b', { tensorParallelSize: 4 })).toMatchObject({ ...none, tensorBytes: expected });
  });

  it('pipeline: hidden state and residual to the next stage, none from the last', () => {
    expect(sent('llama-3.1-8b', { pipelineParallelSize: 2 })).toMatchObject({
      ...none,
      pipelineBytes: 2 * 4096 * 2,
      bytesPerToken: 2 * 4096 * 2,
      replicaBytesPerToken: 2 * 4096 * 2,
    });
  });

  it('experts of one replica are summed like an MLP, dealt out or cut', () => {
    const cut = sent('qwen3-30b-a3b', { tensorParallelSize: 2 });
    const hidden = 2048 * 2;
    expect(cut.tensorBytes).toBe(hidden * (2 * 48 + 1) + (151_936 / 2) * 2);
    expect(sent('qwen3-30b-a3b', { tensorParallelSize: 2, enableExpertParallel: true })).toEqual(cut);
  });

  it('experts over replicas: every token to all of them and back; before 0.11 by broadcast and sum', () => {
    const layout = { dataParallelSize: 4, enableExpertParallel: true };
    const hidden = 2048 * 2;
    expect(sent('qwen3-30b-a3b', layout)).toMatchObject({ ...none, expertBytes: 48 * 2 * 3 * hidden });
    expect(sent('qwen3-30b-a3b', layout, '0.10.2').expertBytes).toBe(48 * 3 * 3 * hidden);
  });

  it('shared experts are added before the one sum of a layer', () => {
    const hidden = 7168 * 2;
    const { tensorBytes } = sent('deepseek-v3', { tensorParallelSize: 8 });
    expect(tensorBytes).toBe(((2 * 7) / 8) * hidden * (2 * 61 + 1) + (129_280 / 8) * 7 * 2);
  });

  it('decode context: queries and outputs of the latent, logarithms in 32 bit', () => {
    const { contextBytes } = sent('deepseek-v3', { tensorParallelSize: 8, decodeContextParallelSize: 8 });
    expect(contextBytes).toBe(61 * 7 * (((128 * (576 + 512)) / 8) * 2 + 128 * 4));
  });
});
