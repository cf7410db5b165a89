// EAGLE heads: tensors of llama_eagle.py and llama_eagle3.py, the layer that they add to the KV cache, heads that nobody knows.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PlanOutput } from '../../../src/plan/output.ts';
import { runPlan } from '../../helpers/run.ts';

const planJson = async (args: readonly string[]): Promise<PlanOutput> => (await runPlan([...args, '--json'])).output!;

const speculation = (method: string, model: string): string[] => [
  '--speculative-config',
  JSON.stringify({ method, model, num_speculative_tokens: 3 }),
];
const llama = ['--model', 'llama-3.1-8b', '--gpu', 'h100-sxm', '--engine', 'vllm@0.20.2'];

/** q, k, v over 8192 inputs, o, MLP, fc over three hidden states, head of 32,000, four norms, table of tokens. */
const layer = 4096 * 4096 + 3 * 4096 * 14336;
const eagle3Bytes = 2 * (8192 * (4096 + 2 * 1024) + layer + 3 * 4096 * 4096 + 32000 * 4096 + 4 * 4096) + 8 * 32000;
/** The published file of yuhuili/EAGLE3-LLaMA3.1-Instruct-8B holds 0.4 billion parameters; the layer adds scales of attention. */
const scales = 28;

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 1,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128256,
  draft_vocab_size: 32000,
  max_position_embeddings: 2048,
  rope_theta: 500000,
};

describe('EAGLE heads', () => {
  it('makes an unknown EAGLE-3 head up from the sizes of the target and says so', async () => {
    const plain = await planJson(llama);
    const drafting = await planJson([...llama, ...speculation('eagle3', 'yuhuili/EAGLE3-LLaMA3.1-Instruct-8B')]);
    const bytes = (output: typeof plain): number => output.result.devices[0]!.weights.tensorBytes;
    expect(bytes(drafting) - bytes(plain)).toBe(eagle3Bytes + scales);
    expect(drafting.result.devices[0]!.items[0]!.confidence).toBe('estimated');
    expect(drafting.diagnostics.map(({ code }) => code)).toContain('VRAM168');
    expect(drafting.result.kvCache.groups.map(({ layers }) => layers)).toEqual([33]);
    expect(drafting.result.startupLog.join('\n')).toContain('Keeping separate lm_head weights from the target model.');
  });

  it('reads the config.json of a head; its shorter rotary table is one of its own', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'vram-eagle-')), 'config.json');
    writeFileSync(file, JSON.stringify(config));
    const plain = await planJson(llama);
    const drafting = await planJson([...llama, ...speculation('eagle3', file)]);
    const added = drafting.result.devices[0]!.weights.tensorBytes - plain.result.devices[0]!.weights.tensorBytes;
    expect(added).toBe(eagle3Bytes + scales + 2 * 2048 * 128);
    expect(drafting.diagnostics.map(({ code }) => code)).not.toContain('VRAM168');
  });

  it("uses the target's head and embedding in EAGLE, and an embedding of its own behind a pipeline", async () => {
    const eagle = speculation('eagle', 'somebody/a-head');
    const head = 2 * (4096 * (4096 + 2 * 1024) + layer + 2 * 4096 * 4096 + 4096) + scales;
    const weights = async (args: readonly string[], rank: number): Promise<number> =>
      (await planJson([...llama, ...args])).result.devices[rank]!.weights.tensorBytes;
    expect((await weights(eagle, 0)) - (await weights([], 0))).toBe(head);
    expect((await weights([...eagle, '--pp', '2'], 1)) - (await weights(['--pp', '2'], 1))).toBe(
      head + 2 * 128256 * 4096,
    );
  });

  it('groups gpt-oss as 12 window and 13 full layers, with one layer of padding', async () => {
    const args = ['--model', 'gpt-oss-20b', '--gpu', 'h100-sxm', '--engine', 'vllm@0.20.2'];
    const { result } = await planJson([...args, ...speculation('eagle3', 'somebody/gpt-oss-20b-eagle3')]);
    expect(result.kvCache.groups.map(({ kind, layers }) => [kind, layers])).toEqual([
      ['sliding-window', 12],
      ['full-attention', 13],
    ]);
    expect(result.kvCache.bytesPerBlock).toBe(13 * 16 * 2 * 8 * 64 * 2);
  });
});
