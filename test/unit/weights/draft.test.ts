// Weights beside the model's own: drafting layers of the target, a draft model, parameters kept in host memory.
import { describe, expect, it } from 'vitest';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { rankWeights } from '../../../src/engines/vllm/weights/index.ts';
import { GiB } from '../../../src/units.ts';
import { weightsInput } from './input.ts';

const part = (input: Parameters<typeof weightsInput>[0]): { total: number; draft: number } => {
  const planned = rankWeights(weightsInput(input));
  if ('error' in planned) throw new Error(planned.error);
  return { total: planned.tensorBytes, draft: planned.parts.draft ?? 0 };
};

describe('drafting', () => {
  it("adds DeepSeek-V3's layer of multi-token prediction, without a second embedding and head", () => {
    const own = part({ model: 'deepseek-v3', version: '0.33.0', options: { tensorParallelSize: 8 } });
    const drafting = part({
      model: 'deepseek-v3',
      version: '0.33.0',
      options: { tensorParallelSize: 8, speculativeConfig: { method: 'mtp', num_speculative_tokens: 1 } },
    });
    expect(own.draft).toBe(0);
    // 11,610,068,224 parameters of the block (model card), FP8 but for norms and router, experts divided by 8.
    expect(drafting.draft * 8).toBeGreaterThan(11.6e9);
    expect(drafting.draft * 8).toBeLessThan(13.5e9);
    expect(drafting.total - drafting.draft).toBe(own.total);
  });

  it('adds a draft model whole, on the last stage alone', () => {
    const draft = part({ model: 'llama-3.2-1b', version: '0.20.2' });
    const input = {
      model: 'llama-3.1-70b',
      version: '0.20.2',
      draft: 'llama-3.2-1b',
      options: {
        tensorParallelSize: 2,
        pipelineParallelSize: 2,
        speculativeConfig: { method: 'draft_model', model: 'llama-3.2-1b', draft_tensor_parallel_size: 1 },
      },
    } as const;
    expect(part({ ...input, stage: 0 }).draft).toBe(0);
    expect(part({ ...input, stage: 1 }).draft).toBe(draft.total);
  });
});

describe('offload', () => {
  it('moves whole parameters of decoder layers until the budget is reached', () => {
    const own = part({ model: 'llama-3.1-8b', version: '0.20.2' });
    const left = part({ model: 'llama-3.1-8b', version: '0.20.2', options: { cpuOffloadBytes: 4 * GiB } });
    const moved = own.total - left.total;
    expect(moved).toBeGreaterThanOrEqual(4 * GiB);
    // The largest parameter, gate_up of 28672 x 4096 in 16 bit, may cross the budget.
    expect(moved).toBeLessThan(4 * GiB + 28672 * 4096 * 2);
  });
});

describe('ERNIE 4.5', () => {
  /** ernie_mtp.py: two norms, a projection of 2 x 2560, a dense Llama layer with its two norms. */
  it('drafts with a dense layer and a cache of its own', () => {
    const plain = weightsInput({ model: 'ernie-4.5-21b-a3b', version: '0.20.2' });
    const config = { ...plain.spec.config, numNextnPredictLayers: 1 };
    const spec = { ...plain.spec, config };
    const architecture = expandArchitecture(spec);
    const options = { ...plain.options, speculativeConfig: { method: 'mtp', num_speculative_tokens: 1 } };
    const drafting = rankWeights({ ...plain, spec, architecture, options });
    if ('error' in drafting) throw new Error(drafting.error);
    const attention = 2560 * 128 * (20 + 2 * 4) + 20 * 128 * 2560;
    expect(drafting.parts.draft).toBe(2 * (attention + 3 * 2560 * 12288 + 2 * 2560 * 2560 + 4 * 2560));
    expect(architecture.draftCaches).toHaveLength(1);
  });
});
