// The 13 test cases of ThemisDB's GPU-VRAM components (tests/test_gpu_vram_allocation.cpp), with the right answers: by our planner,
// block pool, balancer, pipeline split and quantizer. Where the original expects something else, the test says what and why it is
// wrong. The defects of its documents are in themisdb-documents.test.ts.
import { beforeAll, describe, expect, it } from 'vitest';
import { stageBounds } from '../../src/engines/vllm/pipeline.ts';
import { resolveEngineRef } from '../../src/load/engine.ts';
import { schedulerRules } from '../../src/load/scheduler-rules.ts';
import type { PlanOutput } from '../../src/plan/output.ts';
import { BlockPool } from '../../src/sim/paged/block-pool.ts';
import type { PagedConfig } from '../../src/sim/paged/config.ts';
import { KvManager } from '../../src/sim/paged/kv-manager.ts';
import { Sequence } from '../../src/sim/paged/sequence.ts';
import { Balancer } from '../../src/sim/parallel/balancer.ts';
import { GiB, MiB, sum } from '../../src/units.ts';
import { type Planned, plan, quantize } from '../helpers/lines.ts';

/** Parameters of the published checkpoints. */
const llama7b = 6_738_415_616;
const llama70b = 68_976_648_192;
/** The table of cosines and sines that every rank computes: positions x head_dim, 16 bit. */
const rotary70b = 4096 * 128 * 2;

const bytesOf = ({ result }: PlanOutput, id: string): number =>
  result.devices[0]!.items.find((item) => item.id === id)?.bytes ?? 0;

/** A pool of so many blocks of 16 tokens that can be handed out, one group, prefix caching. */
function manager(usable: number): KvManager {
  const config: PagedConfig = {
    numBlocks: usable + 1,
    blockSize: 16,
    groups: [{ type: 'full' }],
    maxNumSeqs: 256,
    maxNumBatchedTokens: 8192,
    maxModelLen: 8192,
    policy: 'fcfs',
    longPrefillTokenThreshold: 0,
    chunkedPrefill: true,
    prefixCaching: true,
    reserveFullPrompt: false,
  };
  return new KvManager(config, schedulerRules(resolveEngineRef('vllm').profile));
}

let added = 0;
/** Admits a sequence whose first `shared` tokens are those of every other one; undefined: no room. */
function add(kv: KvManager, tokens: number, shared = 0): { sequence: Sequence; hit: number } | undefined {
  const index = added++;
  const own = 1_000_000 + index * 10_000;
  const prompt = shared > 0 ? [0, shared, own, own + tokens - shared] : [own, own + tokens];
  const request = {
    id: `s${index}`,
    arrival: 0,
    prompt,
    promptTokens: tokens,
    outputTokens: 1,
    maxTokens: 1,
    outputBase: own + 9000,
  };
  const sequence = new Sequence(index, request, index, kv.tables(tokens));
  const hitTokens = kv.lookup(sequence);
  if (!kv.allocate(sequence, tokens - hitTokens, { lookahead: 0, useHit: true, hitTokens })) return undefined;
  return { sequence, hit: hitTokens };
}

const idsOf = ({ sequence }: { sequence: Sequence }): number[] => {
  const { ids, length } = sequence.tables[0]!;
  return [...ids.slice(0, length)];
};

describe('the 13 cases', () => {
  describe('1: RTX 4090, Llama-2-7B in 16 bit, 8 sequences of 4,096', () => {
    let output: Planned;
    beforeAll(async () => {
      output = await plan('-m llama-2-7b -g rtx4090 --context 4096 --concurrency 8');
    });

    it('does not fit; the original expects that it does, against its own formula: 22.93 GiB of 22', () => {
      const [parameters, layers, kvHeads, headDim, hidden] = [7e9, 32, 8, 128, 4096];
      const weights = parameters * 2;
      const cache = 2 * layers * kvHeads * headDim * 2 * 8 * 4096;
      const activations = 8 * 4096 * hidden * 2 * 2 * layers * 0.25;
      const parts = weights + cache * 1.2 + activations;
      expect((parts * 1.05) / GiB).toBeCloseTo(22.93, 1);
      expect(output.code).toBe(1);
      expect(output.result.workload).toMatchObject({ fits: false, maxConcurrencyAtContext: 4 });
      expect(output.result.verdict.reason).toBe('8 sequences of 4,096 tokens do not fit at once');
    });

    it('weights are 12.55 GiB, not 13 to 15: the model has 6.74e9 parameters, not 7e9', () => {
      // And the table of its rotary embedding: not more than a thousandth.
      expect(output.result.devices[0]!.weights.tensorBytes / (llama7b * 2)).toBeCloseTo(1, 3);
    });

    it('the cache of 8 x 4,096 is 16 GiB, not 4: the model has 32 KV heads, not 8', () => {
      expect(output.result.kvCache.bytesPerToken).toBe(2 * 32 * 32 * 128 * 2);
      expect(output.result.kvCache.bytesPerToken * 8 * 4096).toBe(16 * GiB);
    });

    it('activations do not grow with batch and length; the original adds 4 GiB of them and 20 % of growth', async () => {
      const one = await plan('-m llama-2-7b -g rtx4090 --context 1024 --concurrency 1');
      expect(bytesOf(output, 'activations')).toBe(bytesOf(one, 'activations'));
      expect(bytesOf(output, 'activations')).toBeLessThan(GiB / 2);
    });

    it('what the original leaves out is there: CUDA context, graphs, utilization; the items sum to the card', () => {
      expect(bytesOf(output, 'context')).toBeGreaterThan(0);
      expect(bytesOf(output, 'graphs')).toBeGreaterThan(0);
      const [device] = output.result.devices;
      expect(device!.budgetBytes).toBeLessThan(device!.totalBytes);
      expect(sum(device!.items.map(({ bytes }) => bytes))).toBe(device!.totalBytes);
    });
  });

  it('2: 70B in 16 bit on a 4090 does not fit, and what helps is named and planned, not "Consider ..."', async () => {
    const { code, result } = await plan('-m llama-2-70b -g rtx4090 --concurrency 4');
    expect(code).toBe(1);
    expect(result.verdict.reason).toMatch(/^the weights alone need 128\.\d\d GiB of GPU 0$/);
    expect(result.suggestions.map(({ change }) => change)).toContainEqual(expect.stringMatching(/^8 x NVIDIA/));
    const eight = await plan('-m llama-2-70b -g "8x rtx4090" --tp 8 --context 4096 --concurrency 4');
    expect(eight.code).toBe(0);
  });

  it('3: KV of a token is 131,072 bytes for 8 KV heads (Llama-3.1-8B); for its "Llama-2-7B" it is 524,288', async () => {
    const grouped = await plan('-m llama-3.1-8b -g rtx4090 --max-model-len 4096');
    const multi = await plan('-m llama-2-7b -g rtx4090');
    expect(grouped.result.kvCache.bytesPerToken).toBe(131_072);
    expect(multi.result.kvCache.bytesPerToken).toBe(524_288);
  });

  it('4: 7e9 x 2 bytes are 13.04 GiB, further than 1e9 bytes from the 14 GiB of the original; real bits at 8 and 4', async () => {
    expect(7e9 * 2).toBe(14e9);
    expect(14e9 / GiB).toBeCloseTo(13.04, 2);
    expect(14 * GiB - 14e9).toBeGreaterThan(1e9);
    const { rows } = await quantize('-m llama-2-7b -g rtx4090 --scheme fp16,w8a8,awq,q4_k_m');
    const bits = Object.fromEntries(rows.map(({ scheme, bitsPerWeight }) => [scheme, bitsPerWeight]));
    expect(bits.fp16).toBeCloseTo(16, 2);
    // Embeddings, output and scales are not in 8 or 4 bits; AutoAWQ's 7B checkpoint is a file of 3.89e9 bytes.
    expect(bits.w8a8).toBeGreaterThan(8.2);
    expect((bits.awq! / 8) * llama7b).toBeGreaterThan(3.8e9);
    expect((bits.awq! / 8) * llama7b).toBeLessThan(3.95e9);
    // llama.cpp: Llama-2-7B Q4_K_M is a file of 4.08e9 bytes.
    expect((bits.q4_k_m! / 8) * llama7b).toBeGreaterThan(4.04e9);
    expect((bits.q4_k_m! / 8) * llama7b).toBeLessThan(4.1e9);
  });

  it('5: 10 of 1,024 blocks: distinct ids in range (block 0 is the null block), and all are free again', () => {
    const pool = new BlockPool(1024, true);
    expect(pool.free).toBe(1023);
    const ids = Int32Array.from({ length: 10 }, () => pool.take());
    expect([...ids]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect([...ids].every((id) => pool.refs[id] === 1)).toBe(true);
    expect([pool.used, pool.free]).toEqual([10, 1013]);
    pool.release(ids, 9, 10, 'tail');
    expect([pool.used, pool.free]).toEqual([0, 1023]);
    // First in, first out; the original hands the last freed block out first, so that what was cached is lost soonest.
    expect(pool.freeOrder()[0]).toBe(11);
    expect(() => pool.release(ids, 9, 1, 'tail')).toThrow(/freed more often/);
  });

  it('6: a child of 512 tokens that shares 256 with its parent takes 16 new blocks; found by content, not by a call', () => {
    const kv = manager(1024);
    const parent = add(kv, 512, 256)!;
    const child = add(kv, 512, 256)!;
    expect([parent.hit, child.hit]).toEqual([0, 256]);
    expect(idsOf(child).slice(0, 16)).toEqual(idsOf(parent).slice(0, 16));
    expect(
      idsOf(parent)
        .slice(0, 16)
        .every((id) => kv.pool.refs[id] === 2),
    ).toBe(true);
    expect(kv.pool.used).toBe(32 + 16);
    // A quarter of the blocks is saved; counted as the original counts, 100 children of a parent save more than 100 %.
    expect(16 / 64).toBe(0.25);
  });

  it('6: a shared prefix that ends inside a block shares whole blocks only; the original shares the tail and writes into it', () => {
    const kv = manager(1024);
    const parent = add(kv, 512, 250)!;
    const child = add(kv, 512, 250)!;
    expect(child.hit).toBe(240);
    expect(idsOf(child)[15]).not.toBe(idsOf(parent)[15]);
  });

  it('7: of 100 free blocks 64 tokens use exactly 4; too many tokens get none, where the original gives a short table', () => {
    const kv = manager(100);
    expect(kv.pool.free).toBe(100);
    const first = add(kv, 64)!;
    expect(idsOf(first)).toHaveLength(4);
    expect([kv.pool.used, kv.pool.free]).toEqual([4, 96]);
    expect(add(kv, 97 * 16)).toBeUndefined();
    expect([kv.pool.used, kv.pool.free]).toEqual([4, 96]);
    kv.free(first.sequence);
    expect(kv.pool.free).toBe(100);
  });

  describe('8: tensor parallel over 4 GPUs', () => {
    it('shards sum to the model and what every rank repeats (norms); "140 GiB" is 140e9 bytes: 32.1 GiB a rank, not 35', async () => {
      const { result } = await plan('-m llama-2-70b -g "4x a100-80gb-sxm" --tp 4');
      const shards = result.devices.map(({ weights }) => weights.tensorBytes);
      expect(shards).toHaveLength(4);
      expect(new Set(shards).size).toBe(1);
      const repeated = (2 * 80 + 1) * 8192 * 2;
      const rest = sum(shards) - 3 * repeated - llama70b * 2 - 4 * rotary70b;
      expect(Math.abs(rest)).toBeLessThan(4 * 4096);
      expect(shards[0]! / GiB).toBeCloseTo(32.12, 1);
    });

    it('what the original does not know: 8 KV heads over 4, 8 and 16 ranks, and 64 heads over 3', async () => {
      const perToken = async (tp: number): Promise<number> =>
        (await plan(`-m llama-2-70b -g h200-sxm --tp ${tp}`)).result.kvCache.bytesPerToken;
      expect(await perToken(4)).toBe((2 * 80 * 8 * 128 * 2) / 4);
      expect(await perToken(8)).toBe((2 * 80 * 8 * 128 * 2) / 8);
      // One head is the least: sixteen ranks hold each of the eight twice.
      expect(await perToken(16)).toBe(await perToken(8));
      const three = await plan('-m llama-2-70b -g h200-sxm --tp 3');
      expect([three.code, three.result.verdict.engineError]).toEqual([
        1,
        expect.stringContaining('tensor parallel size'),
      ]);
    });
  });

  describe('9: pipeline of 80 layers over 4 stages', () => {
    it('20 layers each, and the remainder where the engine puts it', () => {
      const split = 'remainder-before-last';
      expect(stageBounds({ layers: 80, stages: 4, split })).toEqual([0, 20, 40, 60, 80]);
      // The original gives the first stages one more; vLLM spares the last one, which has the output layer.
      expect(stageBounds({ layers: 82, stages: 4, split })).toEqual([0, 20, 41, 62, 82]);
    });

    it('a layer is 1,632 MiB, not 1,750, and the first and last stages hold the embedding and the output layer too', async () => {
      const layer = 2 * (2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28_672 + 2 * 8192);
      expect(layer / MiB).toBeCloseTo(1632, 0);
      const { result } = await plan('-m llama-2-70b -g "4x a100-80gb-sxm" --pp 4');
      const stages = result.devices.map(({ weights }) => weights.tensorBytes);
      const table = 32_000 * 8192 * 2;
      for (const [stage, extra] of [table, 0, 0, table + 8192 * 2].entries())
        expect(Math.abs(stages[stage]! - 20 * layer - extra - rotary70b)).toBeLessThan(4096);
    });
  });

  it('10: 64 requests over 4 replicas: 16 each; 66: at most one apart, where the original leaves the remainder to the last', () => {
    const shares = (requests: number): number[] => {
      const balancer = new Balancer(4, 0);
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < requests; i++) counts[balancer.choose()]! += 1;
      return counts;
    };
    expect(shares(64)).toEqual([16, 16, 16, 16]);
    expect(shares(66)).toEqual([17, 17, 16, 16]);
  });

  describe('11: the precision for a card', () => {
    it('24 GB: 16 bit, as the original says', async () => {
      const { recommendation } = await quantize('-m llama-2-7b -g rtx4090 --context 4096 --concurrency 2');
      expect(recommendation?.scheme).toBe('fp16');
    });

    it('10 GB: the original says INT8 by the weights alone; vLLM in 8 bit has no room for one sequence, less bits have', async () => {
      const { rows, recommendation } = await quantize(
        '-m llama-2-7b -g rtx3080-10gb --context 4096 --concurrency 1 --max-quality-loss 2%',
      );
      expect(rows.find(({ scheme }) => scheme === 'w8a8')).toMatchObject({
        engine: 'vllm',
        state: 'short',
        fits: false,
      });
      const chosen = rows.find(({ scheme }) => scheme === recommendation?.scheme)!;
      expect(chosen.fits).toBe(true);
      expect(chosen.quality!.relativeLoss!).toBeLessThanOrEqual(0.02);
      expect(chosen.quality!.source).not.toBe('');
    });

    it('nothing is recommended that does not fit; the original falls back to Q4 whatever it takes', async () => {
      const { rows, recommendation } = await quantize('-m llama-2-70b -g rtx4090 --context 4096');
      expect(rows.find(({ scheme }) => scheme === 'q4_k_m')!.fits).toBe(false);
      expect(rows.find(({ scheme }) => scheme === recommendation?.scheme)?.fits).toBe(true);
      const none = await quantize('-m llama-2-70b -g rtx4090 --context 4096 --scheme q4_k_m,awq');
      expect(none.recommendation).toBeNull();
    });
  });

  it('12: bits, losses and names: stored bits are counted, losses cite a source, unknown names are refused', async () => {
    const schemes = 'fp16,bf16,w8a8,q8_0,q4_k_m,q3_k_m';
    const { rows } = await quantize(`-m llama-2-7b -g rtx4090 --scheme ${schemes}`);
    const of = (scheme: string) => rows.find((row) => row.scheme === scheme)!;
    expect(of('fp16').weightBytesPerGpu).toBe(of('bf16').weightBytesPerGpu);
    // The original: 3 bits save 0.9125 of FP32. Plain 3 bits would save 0.90625, Q3_K_M has 3.9.
    expect(1 - 3 / 32).toBe(0.90625);
    expect(1 - of('q3_k_m').bitsPerWeight / 32).toBeCloseTo(0.878, 2);
    // The original's "retention" of INT8 is 0.98 for every model; measured ones lose a few thousandths.
    for (const { quality } of rows) if (quality) expect(quality.source.length).toBeGreaterThan(10);
    expect(of('q8_0').quality!.relativeLoss!).toBeLessThan(0.005);
    expect(of('q3_k_m').quality!.relativeLoss!).toBeGreaterThan(of('q4_k_m').quality!.relativeLoss!);
    await expect(quantize('-m llama-2-7b -g rtx4090 --scheme AUTO')).rejects.toThrow(/AUTO/i);
  });

  it('13: 4,096 blocks and two sequences of 2,048 tokens: two tables of 128 blocks', () => {
    const kv = manager(4096);
    const both = [add(kv, 2048)!, add(kv, 2048)!];
    expect(both.map((one) => idsOf(one).length)).toEqual([128, 128]);
    expect(new Set(both.flatMap(idsOf)).size).toBe(256);
    expect(kv.pool.used).toBe(256);
  });
});
