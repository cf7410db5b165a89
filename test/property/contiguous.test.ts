// Laws of the contiguous allocators against naive models that keep an owner for every slot: no two pieces overlap, what is held and what is
// free make up the pool, free pieces are merged as far as they go at every instant, a refusal changes nothing. 10,000 random sequences each.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ContiguousAllocator } from '../../src/sim/contiguous/allocator.ts';
import { BestFitAllocator } from '../../src/sim/contiguous/best-fit.ts';
import { BuddyAllocator } from '../../src/sim/contiguous/buddy.ts';
import { SlotAllocator } from '../../src/sim/contiguous/slots.ts';

type Piece = [start: number, slots: number];
type Operation = { allocate: number } | { free: number };

const runs = { numRuns: 10_000 };
const pool = fc.integer({ min: 0, max: 150 });
const operations = fc.array(
  fc.oneof(
    fc.record({ allocate: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 160 })) }),
    fc.record({ free: fc.nat({ max: 1000 }) }),
  ),
  { maxLength: 50 },
);

/** What a naive model says of the same pool: its free pieces, and where a demand may go. */
interface Model {
  freePieces(held: readonly Piece[]): Piece[];
  /** Where the piece may start; undefined when the demand has to be refused. A piece of a wrong size shows in what is left free. */
  expected(slots: number, free: readonly Piece[]): { starts: number[] } | undefined;
}

/** Runs the operations on both; the n-th free takes back one of the pieces held. */
function follow(allocator: ContiguousAllocator, model: Model, sequence: Operation[], freePieces: () => Piece[]): void {
  const held: Piece[] = [];
  for (const operation of sequence) {
    const before = model.freePieces(held);
    if ('allocate' in operation) {
      const expected = model.expected(operation.allocate, before);
      const start = allocator.allocate(operation.allocate);
      const right = expected ? expected.starts.includes(start!) : start === undefined;
      if (!right) throw new Error(`${operation.allocate} slots at ${start}, expected one of ${expected?.starts}`);
      if (expected) held.push([start!, allocator.pieceSlots(operation.allocate)!]);
    } else if (held.length > 0) {
      const [[start]] = held.splice(operation.free % held.length, 1) as [Piece];
      allocator.free(start);
      expect(() => allocator.free(start)).toThrow();
    }
    compare(allocator, freePieces(), model.freePieces(held), held);
  }
  for (const [start] of held) allocator.free(start);
  compare(allocator, freePieces(), model.freePieces([]), []);
}

/** A comparison of strings: an expect() for every one of a million steps would take longer than the steps. */
function compare(allocator: ContiguousAllocator, free: Piece[], expectedFree: Piece[], held: Piece[]): void {
  const slotsOf = (pieces: Piece[]) => pieces.map(([, slots]) => slots);
  const sum = slotsOf(held).reduce((total, slots) => total + slots, 0);
  const seen = `${free.join(' ')}; held ${allocator.heldSlots}, largest ${allocator.largestFree()}`;
  const right = `${expectedFree.join(' ')}; held ${sum}, largest ${Math.max(0, ...slotsOf(expectedFree))}`;
  if (seen !== right) expect(seen).toBe(right);
}

/** An owner for every slot; a slot with two owners is an overlap. */
function owners(poolSlots: number, held: readonly Piece[]): Uint8Array {
  const taken = new Uint8Array(poolSlots);
  for (const [start, slots] of held) {
    for (let slot = start; slot < start + slots; slot++) {
      if (taken[slot] !== 0) throw new Error(`slot ${slot} is outside the pool or has two owners`);
      taken[slot] = 1;
    }
  }
  return taken;
}

function buddyModel(poolSlots: number): Model {
  /** A region of 2^k slots is one free piece when nothing in it is held, or falls into halves until a held piece fills it. */
  const split = (taken: Uint8Array, held: Set<number>, start: number, slots: number, into: Piece[]): void => {
    const region = taken.subarray(start, start + slots);
    if (region.every((owner) => owner === 0)) into.push([start, slots]);
    else if (!held.has(start * 1024 + slots)) {
      if (slots === 1) throw new Error(`slots ${start}.. are held in part`);
      split(taken, held, start, slots / 2, into);
      split(taken, held, start + slots / 2, slots / 2, into);
    }
  };
  return {
    freePieces(held) {
      const taken = owners(poolSlots, held);
      const known = new Set(held.map(([start, slots]) => start * 1024 + slots));
      const pieces: Piece[] = [];
      let start = 0;
      for (let size = 1024; size >= 1; size /= 2) {
        if (poolSlots - start < size) continue;
        split(taken, known, start, size, pieces);
        start += size;
      }
      return pieces;
    },
    expected(slots, free) {
      let size = 1;
      while (size < slots) size *= 2;
      const fitting = free.filter((piece) => piece[1] >= size);
      if (fitting.length === 0) return undefined;
      const smallestFitting = Math.min(...fitting.map((piece) => piece[1]));
      return { starts: fitting.filter((piece) => piece[1] === smallestFitting).map(([start]) => start) };
    },
  };
}

function bestFitModel(poolSlots: number): Model {
  return {
    freePieces(held) {
      const pieces: Piece[] = [];
      owners(poolSlots, held).forEach((owner, slot) => {
        if (owner === 1) return;
        const last = pieces.at(-1);
        if (last && last[0] + last[1] === slot) last[1]++;
        else pieces.push([slot, 1]);
      });
      return pieces;
    },
    expected(slots, free) {
      const [best] = free.filter((piece) => piece[1] >= slots).sort((a, b) => a[1] - b[1] || a[0] - b[0]);
      return best && { starts: [best[0]] };
    },
  };
}

describe('contiguous allocators', () => {
  it('buddy: as the naive model, in a pool of any size', () => {
    fc.assert(
      fc.property(pool, operations, (poolSlots, sequence) => {
        const buddy = new BuddyAllocator(poolSlots);
        follow(buddy, buddyModel(poolSlots), sequence, () => buddy.freePieces());
      }),
      runs,
    );
  });

  it('best-fit: as the naive model', () => {
    fc.assert(
      fc.property(pool, operations, (poolSlots, sequence) => {
        const bestFit = new BestFitAllocator(poolSlots);
        follow(bestFit, bestFitModel(poolSlots), sequence, () => bestFit.freePieces());
      }),
      runs,
    );
  });

  it('fixed slots: a row for whoever fits one, while there are rows', () => {
    fc.assert(
      fc.property(pool, fc.integer({ min: 1, max: 60 }), operations, (poolSlots, row, sequence) => {
        const slots = new SlotAllocator(poolSlots, row);
        const rows = Math.floor(poolSlots / row);
        const held = new Set<number>();
        for (const operation of sequence) {
          if ('allocate' in operation) {
            const start = slots.allocate(operation.allocate);
            if ((start === undefined) !== (operation.allocate > row || held.size === rows)) expect.fail('refusal');
            if (start === undefined) continue;
            if (held.has(start) || start % row !== 0 || start + row > poolSlots) expect.fail(`row at ${start}`);
            held.add(start);
          } else if (held.size > 0) {
            const start = [...held][operation.free % held.size]!;
            held.delete(start);
            slots.free(start);
            expect(() => slots.free(start)).toThrow();
          }
          if (slots.heldSlots !== held.size * row) expect.fail(`${slots.heldSlots} held`);
          if (slots.largestFree() !== (held.size < rows ? row : 0)) expect.fail(`${slots.largestFree()} free`);
        }
      }),
      runs,
    );
  });

  it('an empty pool takes exactly as many equal pieces as its capacity', () => {
    fc.assert(
      fc.property(pool, fc.integer({ min: 1, max: 160 }), (poolSlots, slots) => {
        const allocators = [
          new BuddyAllocator(poolSlots),
          new BestFitAllocator(poolSlots),
          new SlotAllocator(poolSlots, 24),
        ];
        for (const allocator of allocators) {
          const capacity = allocator.capacity(slots);
          expect(allocator.pieceSlots(slots) !== undefined).toBe(capacity > 0);
          let taken = 0;
          while (allocator.allocate(slots) !== undefined) taken++;
          expect(taken).toBe(capacity);
        }
      }),
      runs,
    );
  });
});
