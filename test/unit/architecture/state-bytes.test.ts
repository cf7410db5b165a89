// State bytes per layer and rank against what vLLM's own classes report (the unpadded page, `realBytes` of
// test/ground-truth/vllm-oracle.jsonl) and against published start-ups.
import { describe, expect, it } from 'vitest';
import { statePageBytes, stateSplits, stateTensors } from '../../../src/accounting/state.ts';
import { qwen35MoeText, qwen35Text, stateFamilies } from '../../../src/architecture/families/state/index.ts';
import type { ArchitectureFamily, StateLayout } from '../../../src/architecture/types.ts';
import { loadPresets } from '../../../src/load/presets.ts';

const families: Readonly<Record<string, ArchitectureFamily>> = {
  ...stateFamilies,
  qwen3_5: qwen35Text,
  qwen3_5_moe: qwen35MoeText,
};

function layoutOf(id: string): StateLayout {
  const spec = loadPresets('models').find((entry) => entry.id === id)!;
  const caches = families[spec.modelType]!(spec).caches.flatMap((entry) => entry.caches);
  const state = caches.find((cache) => cache.kind === 'state');
  if (state?.kind !== 'state') throw new Error(`${id} has no state`);
  return state.state;
}

const page = (id: string, tensorParallelSize: number, ssmBytes: number) =>
  statePageBytes(layoutOf(id), { tensorParallelSize, convBytes: 2, ssmBytes });

describe('unpadded state page', () => {
  /** Bytes at tensor parallel 1, 2, 4, 8, as vLLM's classes gave them; 0 where no run was made. */
  it.each([
    ['mamba-370m', 2, [77_824, 0, 0, 9_728]],
    ['falcon-mamba-7b', 2, [311_296, 155_648, 77_824, 38_912]],
    ['jamba-1.5-mini', 2, [311_296, 155_648, 77_824, 38_912]],
    ['falcon-h1-0.5b', 2, [403_968, 202_752, 102_144, 51_840]],
    ['granite-4.0-h-small', 2, [2_147_840, 1_074_688, 538_112, 269_824]],
    ['nemotron-3-nano-30b-a3b', 4, [2_134_016, 1_067_008, 533_504, 266_752]],
    ['nemotron-3-nano-4b', 4, [3_990_528, 1_995_264, 0, 498_816]],
    ['qwen3.5-0.8b', 4, [1_085_440, 542_720, 0, 0]],
    ['qwen3.5-27b', 4, [3_207_168, 1_603_584, 801_792, 400_896]],
    ['qwen3.5-35b-a3b', 4, [2_146_304, 1_073_152, 536_576, 268_288]],
    ['kimi-linear-48b-a3b', 4, [2_170_880, 1_085_440, 542_720, 271_360]],
    ['lfm2-8b-a1b', 2, [8_192, 4_096, 2_048, 1_024]],
  ])('of %s', (id, ssmBytes, bytes) => {
    for (const [i, expected] of bytes.entries()) if (expected > 0) expect(page(id, 2 ** i, ssmBytes)).toBe(expected);
  });

  it('of Qwen3-Next with a 16-bit state', () => expect(page('qwen3-next-80b-a3b', 1, 2)).toBe(1_097_728));

  it('of Nemotron Nano 9B with a 16-bit and a float32 state', () => {
    expect(page('nemotron-nano-9b-v2', 1, 2)).toBe(2_695_168);
    expect(page('nemotron-nano-9b-v2', 1, 4)).toBe(5_316_608);
  });
});

describe('state tensors', () => {
  it('grow by the draft tokens where the release says so', () => {
    const gdn = layoutOf('qwen3.5-27b');
    const options = { tensorParallelSize: 1, speculativeTokens: 2 };
    expect(stateTensors(gdn, { ...options, speculationLengthens: ['gdn'] })[0]!.shape).toEqual([5, 10_240]);
    expect(stateTensors(gdn, { ...options, speculationLengthens: ['mamba2'] })[0]!.shape).toEqual([3, 10_240]);
  });

  it('repeat a single group on every rank', () => {
    const shapes = stateTensors(layoutOf('falcon-h1-0.5b'), { tensorParallelSize: 8 }).map(({ shape }) => shape);
    expect(shapes).toEqual([
      [3, 448],
      [3, 64, 128],
    ]);
  });

  it('of linear attention are square per head, in the cache type', () => {
    expect(stateTensors({ type: 'linear', heads: 64, headDim: 128 }, { tensorParallelSize: 2 })).toEqual([
      { dtype: 'conv', shape: [32, 128, 128] },
    ]);
  });

  it('split only over ranks that divide heads and groups', () => {
    expect(stateSplits(layoutOf('falcon-h1-0.5b'), 8)).toBe(true);
    expect(stateSplits(layoutOf('falcon-h1-0.5b'), 16)).toBe(false);
    expect(stateSplits(layoutOf('nemotron-nano-9b-v2'), 16)).toBe(false);
  });
});
