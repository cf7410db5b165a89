// The laws of the V0 mode over random operations, against a model that keeps every block as an object with its holders, and over
// random workloads on the whole server.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockManager } from '../../src/sim/v0/block-manager.ts';
import { resolveV0Config } from '../../src/sim/v0/config.ts';
import { checkPool, checkV0 } from '../../src/sim/v0/invariants.ts';
import { type Sequence, SequenceGroup } from '../../src/sim/v0/sequence.ts';
import { V0System } from '../../src/sim/v0/system.ts';

const operations = fc.array(
  fc.record({
    kind: fc.constantFrom('allocate', 'append', 'append', 'fork', 'free', 'swap'),
    pick: fc.nat(1000),
    tokens: fc.integer({ min: 1, max: 14 }),
  }),
  { maxLength: 24 },
);

/** A block of the model: how many tokens it holds, and which sequences hold it. */
interface Cell {
  filled: number;
  holders: Set<Sequence>;
}

/** The naive model: every sequence has its list of cells; sharing is that two lists hold the same cell. */
class Model {
  readonly lists = new Map<Sequence, Cell[]>();
  copies = 0;

  constructor(private readonly blockSize: number) {}

  cells(group: SequenceGroup): Set<Cell> {
    return new Set(group.sequences.flatMap((sequence) => this.lists.get(sequence) ?? []));
  }

  allocate(sequence: Sequence): void {
    this.lists.set(sequence, []);
    for (let i = 0; i < sequence.tokens; i++) this.append(sequence, i);
  }

  append(sequence: Sequence, position: number): void {
    const list = this.lists.get(sequence)!;
    if (position % this.blockSize === 0) list.push({ filled: 0, holders: new Set([sequence]) });
    let last = list[list.length - 1]!;
    if (last.holders.size > 1) {
      last.holders.delete(sequence);
      last = { filled: last.filled, holders: new Set([sequence]) };
      list[list.length - 1] = last;
      this.copies++;
    }
    last.filled++;
  }

  fork(parent: Sequence, child: Sequence): void {
    const list = this.lists.get(parent)!.slice();
    for (const cell of list) cell.holders.add(child);
    this.lists.set(child, list);
  }

  free(sequence: Sequence): void {
    for (const cell of this.lists.get(sequence)!) cell.holders.delete(sequence);
    this.lists.delete(sequence);
  }
}

function newGroup(index: number, tokens: number): SequenceGroup {
  const request = {
    id: String(index),
    arrival: 0,
    prompt: [0, tokens],
    promptTokens: tokens,
    outputTokens: 9,
    maxTokens: 9,
    outputBase: 1000 * (index + 1),
  };
  return new SequenceGroup(index, request, index, { width: 4, beam: false });
}

describe('the V0 block manager', () => {
  it('does what a model of shared cells does, for any operations', () => {
    const limits = { numBlocks: 12, numCpuBlocks: 6, blockSize: 3, watermark: 0.1 };
    const pools = fc.record({ prefixCaching: fc.constant(false), swapKeepsSharing: fc.constant(true) });
    fc.assert(
      fc.property(operations, pools, (ops, modes) => {
        const blocks = new BlockManager({ ...limits, ...modes });
        const model = new Model(limits.blockSize);
        const groups: SequenceGroup[] = [];
        for (const { kind, pick, tokens } of ops) {
          const group = groups[pick % Math.max(1, groups.length)];
          const gpuFree = limits.numBlocks - cellsOf(model, groups, false);
          const cpuFree = limits.numCpuBlocks - cellsOf(model, groups, true);
          if (kind === 'allocate') {
            const added = newGroup(groups.length, tokens);
            const status = blocks.canAllocate(added);
            const need = Math.ceil(tokens / limits.blockSize);
            expect(status).toBe(need > 11 ? 'never' : gpuFree - need >= 1 ? 'ok' : 'later');
            if (status !== 'ok') continue;
            blocks.allocate(added);
            model.allocate(added.first);
            groups.push(added);
          } else if (!group) continue;
          else if (kind === 'append' && !group.swapped) {
            for (const sequence of group.sequences) sequence.tokens++;
            const fits = blocks.canAppend(group);
            expect(fits).toBe(group.sequences.length <= gpuFree);
            if (fits) {
              for (const sequence of group.sequences) model.append(sequence, sequence.slots);
              blocks.append(group);
            } else for (const sequence of group.sequences) sequence.tokens--;
          } else if (kind === 'fork' && !group.swapped && group.sequences.length < 4) {
            const parent = group.sequences[pick % group.sequences.length]!;
            const child = blocks.fork(parent);
            model.fork(parent, child);
            group.sequences.push(child);
          } else if (kind === 'free' && !group.swapped) {
            const at = pick % group.sequences.length;
            const [gone] = group.sequences.splice(at, 1);
            blocks.free(gone!);
            model.free(gone!);
            if (group.sequences.length === 0) groups.splice(groups.indexOf(group), 1);
          } else if (kind === 'swap') {
            const cells = model.cells(group).size;
            if (group.swapped) {
              const need = cells + group.sequences.length;
              const status = need > limits.numBlocks ? 'never' : gpuFree - need >= 1 ? 'ok' : 'later';
              expect(blocks.canSwapIn(group)).toBe(status);
              if (status === 'ok') expect(blocks.swapIn(group)).toBe(cells);
            } else {
              expect(blocks.canSwapOut(group)).toBe(cells <= cpuFree);
              if (cells <= cpuFree) expect(blocks.swapOut(group)).toBe(cells);
            }
          }
          compare(blocks, model, groups);
        }
      }),
      { numRuns: 10_000 },
    );
  });

  it('keeps its laws with prefix caching and with sharing lost in swaps', () => {
    const modes = fc.record({ prefixCaching: fc.boolean(), swapKeepsSharing: fc.boolean() });
    fc.assert(
      fc.property(operations, modes, (ops, mode) => {
        const blocks = new BlockManager({ numBlocks: 12, numCpuBlocks: 12, blockSize: 3, watermark: 0, ...mode });
        const groups: SequenceGroup[] = [];
        for (const { kind, pick, tokens } of ops) {
          const group = groups[pick % Math.max(1, groups.length)];
          if (kind === 'allocate') {
            const added = newGroup(groups.length, tokens);
            if (blocks.canAllocate(added) === 'ok') {
              blocks.allocate(added);
              groups.push(added);
            }
          } else if (!group) continue;
          else if (kind === 'swap') {
            if (group.swapped && blocks.canSwapIn(group) === 'ok') blocks.swapIn(group);
            else if (!group.swapped && blocks.canSwapOut(group)) blocks.swapOut(group);
          } else if (group.swapped) continue;
          else if (kind === 'append') {
            for (const sequence of group.sequences) sequence.tokens++;
            if (blocks.canAppend(group)) blocks.append(group);
            else for (const sequence of group.sequences) sequence.tokens--;
          } else if (kind === 'fork' && group.sequences.length < 4) group.sequences.push(blocks.fork(group.first));
          else if (kind === 'free') {
            for (const sequence of group.sequences) blocks.free(sequence);
            groups.splice(groups.indexOf(group), 1);
          }
          blocks.markComputed();
          checkPool(blocks.gpu, sequencesOf(groups, false));
          checkPool(blocks.cpu, sequencesOf(groups, true));
        }
      }),
      { numRuns: 10_000 },
    );
  });
});

const workload = fc.array(
  fc.record({
    arrival: fc.nat(20),
    shared: fc.nat(12),
    own: fc.integer({ min: 1, max: 30 }),
    outputTokens: fc.integer({ min: 1, max: 30 }),
    several: fc.constantFrom({}, {}, { samples: 3 }, { beamWidth: 2 }, { beamWidth: 4 }),
    priority: fc.nat(3),
  }),
  { minLength: 1, maxLength: 12 },
);

const server = fc.record({
  numBlocks: fc.integer({ min: 3, max: 40 }),
  numCpuBlocks: fc.integer({ min: 0, max: 60 }),
  blockSize: fc.constantFrom(1, 2, 4, 16),
  maxNumSeqs: fc.integer({ min: 2, max: 8 }),
  maxNumBatchedTokens: fc.integer({ min: 1, max: 80 }),
  policy: fc.constantFrom('fcfs' as const, 'priority' as const),
  chunkedPrefill: fc.boolean(),
  prefixCaching: fc.boolean(),
  preemption: fc.constantFrom('auto' as const, 'swap' as const, 'recompute' as const),
  sequenceGroups: fc.boolean(),
  swapKeepsSharing: fc.boolean(),
  maxNumPartialPrefills: fc.constantFrom(1, 2),
});

describe('the V0 server', () => {
  it('keeps every law at every step, loses nobody, and does the same again', () => {
    fc.assert(
      fc.property(workload, server, (requests, config) => {
        expect(serve(requests, config)).toEqual(serve(requests, config));
      }),
      { numRuns: 1500 },
    );
  });
});

function serve(given: typeof workload extends fc.Arbitrary<infer T> ? T : never, config: object): unknown[] {
  const requests = given.map(({ shared, own, several, ...rest }, i) => ({
    ...rest,
    ...several,
    id: String(i),
    prompt: [0, shared, 100 * (i + 1), 100 * (i + 1) + own],
    promptTokens: shared + own,
    maxTokens: 60,
    outputBase: 100_000 * (i + 1),
  }));
  const log: unknown[] = [];
  let ended = 0;
  const limits = {
    maxModelLen: 80,
    numBlocks: 0,
    numCpuBlocks: 0,
    blockSize: 1,
    maxNumSeqs: 1,
    maxNumBatchedTokens: 1,
  };
  const system = new V0System({ requests }, resolveV0Config({ ...limits, ...config }), {
    firstToken: () => {},
    finished: (i) => log.push([i, 'finished', ++ended]),
    rejected: (i, reason) => log.push([i, reason, ++ended]),
  });
  const order = requests.map((_, i) => i).sort((a, b) => requests[a]!.arrival - requests[b]!.arrival);
  const memory = { tokenStates: 0, reserved: 0, internal: 0, external: 0, free: 0 };
  let next = 0;
  for (let step = 0; next < order.length || system.unfinished > 0; step++) {
    expect(step).toBeLessThan(5000);
    while (next < order.length && requests[order[next]!]!.arrival <= step) system.add(order[next++]!);
    const scheduled = system.schedule();
    checkV0(system);
    system.memory(memory);
    const sum = memory.tokenStates + memory.reserved + memory.internal + memory.external + memory.free;
    expect(sum).toBe(system.poolTokens);
    expect(Math.min(...Object.values(memory))).toBeGreaterThanOrEqual(0);
    if (scheduled) system.complete();
    checkV0(system);
    log.push(system.blocks.gpu.held);
  }
  expect(ended).toBe(requests.length);
  expect([system.blocks.gpu.held, system.blocks.cpu.held]).toEqual([0, 0]);
  return log;
}

function cellsOf(model: Model, groups: readonly SequenceGroup[], swapped: boolean): number {
  let cells = 0;
  for (const group of groups) if (group.swapped === swapped) cells += model.cells(group).size;
  return cells;
}

function sequencesOf(groups: readonly SequenceGroup[], swapped: boolean): Sequence[] {
  return groups.filter((group) => group.swapped === swapped).flatMap((group) => group.sequences);
}

/** Same sharing, same fill, same sums. */
function compare(blocks: BlockManager, model: Model, groups: readonly SequenceGroup[]): void {
  const ids = new Map<Cell, string>();
  const seen = new Set<string>();
  for (const group of groups) {
    const pool = group.swapped ? blocks.cpu : blocks.gpu;
    for (const sequence of group.sequences) {
      const cells = model.lists.get(sequence)!;
      expect(sequence.table.length).toBe(cells.length);
      for (const [i, cell] of cells.entries()) {
        const id = `${group.swapped ? 'c' : 'g'}${sequence.table[i]}`;
        if (!ids.has(cell)) {
          expect(seen.has(id)).toBe(false);
          ids.set(cell, id);
          seen.add(id);
        }
        if (ids.get(cell) !== id || pool.refCount(sequence.table[i]!) !== cell.holders.size) {
          expect([ids.get(cell), pool.refCount(sequence.table[i]!)]).toEqual([id, cell.holders.size]);
        }
        if (pool.filled(sequence.table[i]!) !== cell.filled) expect(pool.filled(sequence.table[i]!)).toBe(cell.filled);
      }
    }
  }
  expect([blocks.gpu.held, blocks.cpu.held]).toEqual([cellsOf(model, groups, false), cellsOf(model, groups, true)]);
  expect(blocks.copies).toBe(model.copies);
  checkPool(blocks.gpu, sequencesOf(groups, false));
  checkPool(blocks.cpu, sequencesOf(groups, true));
}
