// The V0 block manager on small pools, step by step: admission, copy-on-write, fork, swap, prefix caching. Integers follow from the
// rules of vllm/core/block_manager.py; the scheduler's are compared with vLLM's own in scheduler.test.ts.
import { describe, expect, it } from 'vitest';
import { BlockManager } from '../../../src/sim/v0/block-manager.ts';
import { checkPool } from '../../../src/sim/v0/invariants.ts';
import { SequenceGroup } from '../../../src/sim/v0/sequence.ts';

function manager(overrides: Partial<ConstructorParameters<typeof BlockManager>[0]> = {}): BlockManager {
  return new BlockManager({
    numBlocks: 8,
    numCpuBlocks: 8,
    blockSize: 4,
    watermark: 0,
    prefixCaching: false,
    swapKeepsSharing: true,
    ...overrides,
  });
}

let order = 0;
function group(promptTokens: number, { width = 1, prompt = [0, promptTokens], outputBase = 1000 } = {}): SequenceGroup {
  const request = {
    id: 'r',
    arrival: 0,
    prompt,
    promptTokens,
    outputTokens: 9,
    maxTokens: 9,
    outputBase,
  };
  return new SequenceGroup(0, request, order++, { width, beam: false });
}

function grow(blocks: BlockManager, of: SequenceGroup): void {
  for (const sequence of of.sequences) sequence.tokens++;
  blocks.append(of);
}

describe('admission', () => {
  it('keeps the watermark free: now, later, never', () => {
    const blocks = manager({ numBlocks: 100, watermark: 0.01 });
    expect(blocks.watermarkBlocks).toBe(1);
    expect(blocks.canAllocate(group(99 * 4))).toBe('ok');
    expect(blocks.canAllocate(group(99 * 4 + 1))).toBe('never');
    blocks.allocate(group(50 * 4));
    expect(blocks.canAllocate(group(49 * 4))).toBe('ok');
    expect(blocks.canAllocate(group(50 * 4))).toBe('later');
  });

  it('hands out ids upwards, and the block freed last first', () => {
    const blocks = manager();
    const a = group(8);
    const b = group(4);
    blocks.allocate(a);
    blocks.allocate(b);
    expect([a.first.table, b.first.table]).toEqual([[0, 1], [2]]);
    blocks.free(a.first);
    const c = group(12);
    blocks.allocate(c);
    expect(c.first.table).toEqual([1, 0, 3]);
  });
});

describe('fork and copy-on-write', () => {
  it('shares every block and copies the partial one for all writers but the last', () => {
    const blocks = manager();
    const a = group(6, { width: 3 });
    blocks.allocate(a);
    a.sequences.push(blocks.fork(a.first), blocks.fork(a.first));
    expect([blocks.gpu.held, blocks.gpu.holders, blocks.gpu.shared]).toEqual([2, 6, 2]);
    grow(blocks, a);
    expect(blocks.copies).toBe(2);
    expect(a.sequences.map((s) => s.table)).toEqual([
      [0, 2],
      [0, 3],
      [0, 1],
    ]);
    expect(blocks.gpu.tokens).toBe(4 + 3 * 3);
    checkPool(blocks.gpu, a.sequences);
  });

  it('takes a new block and copies nothing when the shared last block is full', () => {
    const blocks = manager();
    const a = group(4, { width: 2 });
    blocks.allocate(a);
    a.sequences.push(blocks.fork(a.first));
    expect(blocks.canAppend(a)).toBe(true);
    grow(blocks, a);
    expect([blocks.copies, blocks.gpu.held]).toEqual([0, 3]);
  });

  it('asks for a block per sequence even where one will do', () => {
    const blocks = manager({ numBlocks: 3 });
    const a = group(6, { width: 2 });
    blocks.allocate(a);
    a.sequences.push(blocks.fork(a.first));
    for (const sequence of a.sequences) sequence.tokens++;
    expect(blocks.gpu.free).toBe(1);
    expect(blocks.canAppend(a)).toBe(false);
  });
});

describe('swap', () => {
  it('moves a group whole and keeps its sharing, or loses it as block manager v2 does', () => {
    for (const [swapKeepsSharing, moved] of [
      [true, 4],
      [false, 6],
    ] as const) {
      const blocks = manager({ swapKeepsSharing, numCpuBlocks: 6 });
      const a = group(6, { width: 3 });
      blocks.allocate(a);
      a.sequences.push(blocks.fork(a.first), blocks.fork(a.first));
      grow(blocks, a);
      for (const sequence of a.sequences) sequence.tokens++;
      expect(blocks.canSwapOut(a)).toBe(true);
      expect(blocks.swapOut(a)).toBe(moved);
      expect([blocks.gpu.held, blocks.cpu.held]).toEqual([0, moved]);
      checkPool(blocks.cpu, a.sequences);
      expect(blocks.canSwapIn(a)).toBe('ok');
      expect(blocks.swapIn(a)).toBe(moved);
      expect([blocks.gpu.held, blocks.cpu.held]).toEqual([moved, 0]);
      checkPool(blocks.gpu, a.sequences);
    }
  });

  it('refuses when the CPU pool has too few blocks and changes nothing', () => {
    const blocks = manager({ numCpuBlocks: 1 });
    const a = group(6, { width: 2 });
    blocks.allocate(a);
    expect(blocks.canSwapOut(a)).toBe(false);
    expect([blocks.gpu.held, blocks.cpu.held]).toEqual([2, 0]);
  });

  it('says never for a group longer than the pool', () => {
    const blocks = manager({ numBlocks: 4, watermark: 0.25 });
    const a = group(16);
    blocks.allocate(a);
    a.first.tokens++;
    blocks.swapOut(a);
    expect(blocks.canSwapIn(a)).toBe('never');
  });
});

describe('prefix caching', () => {
  it('shares a block of the same batch but counts it as computed only afterwards', () => {
    const blocks = manager({ prefixCaching: true });
    const a = group(9);
    blocks.allocate(a);
    const b = group(9, { outputBase: 2000 });
    expect(blocks.cachedTokens(b)).toBe(0);
    blocks.allocate(b);
    expect(b.first.table.slice(0, 2)).toEqual(a.first.table.slice(0, 2));
    blocks.markComputed();
    expect(blocks.cachedTokens(group(9))).toBe(8);
    expect(blocks.cachedTokens(group(9, { prompt: [1, 10] }))).toBe(0);
  });

  it('keeps freed blocks findable and gives up the oldest, deepest first', () => {
    const blocks = manager({ prefixCaching: true, numBlocks: 4 });
    const a = group(8);
    const b = group(8, { prompt: [100, 108] });
    blocks.allocate(a);
    blocks.allocate(b);
    blocks.markComputed();
    a.first.lastAccess = 2;
    b.first.lastAccess = 1;
    blocks.free(a.first);
    blocks.free(b.first);
    expect([blocks.gpu.cached, blocks.gpu.free]).toEqual([4, 4]);
    const c = group(3, { prompt: [200, 203] });
    blocks.allocate(c);
    expect(c.first.table).toEqual([3]);
    expect(blocks.cachedTokens(group(8, { prompt: [100, 108] }))).toBe(4);
    expect(blocks.cachedTokens(group(8))).toBe(8);
    expect(blocks.gpu.evictions).toBe(1);
  });

  it('replaces a block that was filled while generating by the one that already holds its content', () => {
    const blocks = manager({ prefixCaching: true });
    const a = group(4, { outputBase: 4 });
    blocks.allocate(a);
    const b = group(8);
    blocks.allocate(b);
    for (let i = 0; i < 4; i++) grow(blocks, a);
    expect(a.first.table).toEqual(b.first.table);
    expect(blocks.gpu.held).toBe(2);
    checkPool(blocks.gpu, [a.first, b.first]);
  });
});
