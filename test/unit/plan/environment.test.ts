// Variables that stand before an existing command and batch limits that a release changes by itself: each takes effect.
import { describe, expect, it } from 'vitest';
import type { PlanOutput } from '../../../src/plan/output.ts';
import { runPlan } from '../../helpers/run.ts';

const llama = 'vllm serve meta-llama/Llama-3.1-8B-Instruct';

async function plan(version: string, command: string, gpu = 'h100-sxm'): Promise<PlanOutput> {
  const { output, errors } = await runPlan([
    '-g',
    gpu,
    '--engine',
    `vllm@${version}`,
    '--from-command',
    command,
    '--json',
  ]);
  if (!output) throw new Error(errors);
  return output;
}

const optionsOf = ({ input }: PlanOutput): Record<string, unknown> =>
  (input as unknown as { engine: { options: Record<string, unknown> } }).engine.options;

describe('variables before a command', () => {
  it('choose the engine and the model runner', async () => {
    expect(optionsOf(await plan('0.8.5', `VLLM_USE_V1=0 ${llama} --max-model-len 8192`))).toMatchObject({
      engine: 'v0',
    });
    expect(optionsOf(await plan('0.24.0', llama))).toMatchObject({ runner: 'v2' });
    const first = await plan('0.24.0', `VLLM_USE_V2_MODEL_RUNNER=0 ${llama}`);
    expect(optionsOf(first)).toMatchObject({ runner: 'v1' });
  });

  it('turn MLA off: ordinary heads, V padded to K (16 heads of 192), and no workspace of its backends', async () => {
    const command = 'vllm serve deepseek-ai/DeepSeek-V2-Lite-Chat --max-model-len 8192';
    const latent = (await plan('0.20.2', command)).result;
    const { kvCache, devices } = (await plan('0.20.2', `VLLM_MLA_DISABLE=1 ${command}`)).result;
    expect(kvCache.groups).toMatchObject([{ kind: 'full-attention', pageBytes: 2 * 16 * 16 * 192 * 2 }]);
    expect(latent.devices[0]!.weights.loadedBytes - devices[0]!.weights.loadedBytes).toBeGreaterThanOrEqual(2 ** 27);
  });

  it('leave the estimate of graphs out of the budget', async () => {
    const { result } = await plan('0.20.2', llama);
    const without = (await plan('0.20.2', `VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS=0 ${llama}`)).result;
    const graphs = result.devices[0]!.items.find(({ id }) => id === 'graphs')!.bytes;
    expect(without.kvCache.bytes - result.kvCache.bytes).toBe(graphs);
  });

  it('place layers on stages', async () => {
    const { kvCache } = (await plan('0.20.2', `VLLM_PP_LAYER_PARTITION=20,12 ${llama} -pp 2`)).result;
    expect(kvCache.bytesPerBlock).toBe(20 * 2 * 16 * 8 * 128 * 2);
  });

  it('allow lengths beyond the configuration', async () => {
    const asked = `${llama} --max-model-len 200000`;
    expect((await plan('0.20.2', asked)).result.verdict.engineError).toContain('VLLM_ALLOW_LONG_MAX_MODEL_LEN');
    for (const command of [
      `VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 ${asked}`,
      `docker run -e VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm/vllm-openai:v0.20.2 --model meta-llama/Llama-3.1-8B-Instruct --max-model-len 200000`,
    ])
      expect((await plan('0.20.2', command)).result.verdict.engineError).toBeNull();
  });
});

describe('batch limits', () => {
  it('double in throughput mode where they are left open', async () => {
    const limits = async (version: string, rest: string): Promise<Record<string, unknown>> =>
      optionsOf(await plan(version, `${llama} --max-model-len 8192 ${rest}`, 'rtx4090'));
    const mode = '--performance-mode throughput';
    expect(await limits('0.20.2', mode)).toMatchObject({ maxNumBatchedTokens: 4096, maxNumSeqs: 512 });
    expect(await limits('0.20.2', `${mode} --max-num-seqs 64`)).toMatchObject({
      maxNumBatchedTokens: 4096,
      maxNumSeqs: 64,
    });
    expect(await limits('0.16.0', mode)).toMatchObject({ maxNumBatchedTokens: 2048, maxNumSeqs: 256 });
    // 1 to 32, 40 to 248 by 8, 256 to 512 by 16.
    expect(await limits('0.20.2', '--performance-mode interactivity')).toMatchObject({ captureSizes: 32 + 27 + 17 });
  });

  /** 32 frames of 70 tokens with their marks, where images attend in both directions; E2B and E4B are causal. */
  it('hold the largest item of Gemma 4, where its attention looks both ways', async () => {
    const tokens = async (model: string, version: string): Promise<unknown> =>
      optionsOf(await plan(version, `vllm serve ${model}`, 'rtx-a6000')).maxNumBatchedTokens;
    expect(await tokens('gemma-4-31b', '0.22.1')).toBe(32 * (70 + 2 + 6));
    expect(await tokens('gemma-4-31b', '0.21.0')).toBe(2048);
    expect(await tokens('gemma-4-e4b', '0.22.1')).toBe(2048);
  });
});
