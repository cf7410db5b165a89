// The contiguous baselines by hand: how the pool of the PagedAttention paper is cut, what each policy reserves, and who waits.
import { describe, expect, it } from 'vitest';
import { BestFitAllocator } from '../../../src/sim/contiguous/best-fit.ts';
import { BuddyAllocator } from '../../../src/sim/contiguous/buddy.ts';
import { createContiguous } from '../../../src/sim/contiguous/index.ts';
import type { ContiguousPolicy } from '../../../src/sim/contiguous/policies.ts';
import { reserveNextPowerOfTwo } from '../../../src/sim/contiguous/reservation.ts';
import { SlotAllocator } from '../../../src/sim/contiguous/slots.ts';
import type { ContiguousSystem } from '../../../src/sim/contiguous/system.ts';
import type { SimRequest } from '../../../src/sim/types.ts';

const paperPool = 15_728;

function request(promptTokens: number, outputTokens: number, more: Partial<SimRequest> = {}): SimRequest {
  const known = { id: 'r', arrival: 0, prompt: [0, promptTokens], promptTokens, outputTokens, outputBase: 10_000 };
  return { ...known, maxTokens: outputTokens, ...more };
}

function serve(policy: ContiguousPolicy, requests: SimRequest[], poolTokens = paperPool, maxModelLen = 2048) {
  const events: string[] = [];
  const system = createContiguous(
    policy,
    { requests },
    { poolTokens, maxModelLen, maxNumSeqs: 256 },
    {
      firstToken: (index) => events.push(`first ${index}`),
      finished: (index) => events.push(`end ${index}`),
      rejected: (index, reason) => events.push(`rejected ${index}: ${reason}`),
    },
  );
  requests.forEach((_, index) => {
    system.add(index);
  });
  const memory = () => {
    const into = { tokenStates: 0, reserved: 0, internal: 0, external: 0, free: 0 };
    system.memory(into);
    return into;
  };
  const running = () => {
    const into = { running: 0, waiting: 0, swapped: 0, usedBlocks: 0, cachedBlocks: 0 };
    system.queues(into);
    return into.running;
  };
  return { system, events, memory, running };
}

describe('buddy allocator', () => {
  it('cuts 15,728 slots into the set bits of their number', () => {
    const sizes = new BuddyAllocator(paperPool).freePieces().map(([, slots]) => slots);
    expect(sizes).toEqual([8192, 4096, 2048, 1024, 256, 64, 32, 16]);
  });

  it('merges to the same cut, in whatever order pieces come back', () => {
    const buddy = new BuddyAllocator(paperPool);
    const whole = buddy.freePieces();
    const starts = [700, 33, 1, 2048, 17, 512, 900].map((slots) => buddy.allocate(slots)!);
    expect(buddy.heldSlots).toBe(1024 + 64 + 1 + 2048 + 32 + 512 + 1024);
    for (const k of [3, 0, 6, 1, 5, 2, 4]) buddy.free(starts[k]!);
    expect(buddy.freePieces()).toEqual(whole);
  });

  it('refuses beyond every order, and keeps the pool as it was', () => {
    const buddy = new BuddyAllocator(paperPool);
    expect([8193, 20_000, 2 ** 40].map((slots) => buddy.allocate(slots))).toEqual([undefined, undefined, undefined]);
    expect(buddy.pieceSlots(8193)).toBeUndefined();
    expect(buddy.freePieces()).toHaveLength(8);
  });
});

it('pools of any size cost no more than their pieces', () => {
  const slots = 2 ** 40 + 12_345;
  const buddy = new BuddyAllocator(slots);
  const start = buddy.allocate(2 ** 33 + 1)!;
  expect([buddy.heldSlots, buddy.capacity(2 ** 33), buddy.pieceSlots(2 ** 41)]).toEqual([2 ** 34, 128, undefined]);
  buddy.free(start);
  expect(buddy.freePieces()[0]).toEqual([0, 2 ** 40]);
  expect(new SlotAllocator(slots, 16).allocate(16)).toBe(0);
});

it('best-fit takes the smallest piece that holds the demand and leaves the rest where it is', () => {
  const pool = new BestFitAllocator(100);
  const [a, b, c, d] = [10, 30, 20, 40].map((slots) => pool.allocate(slots)!);
  expect([a, b, c, d]).toEqual([0, 10, 40, 60]);
  pool.free(b!);
  pool.free(d!);
  expect(pool.allocate(25)).toBe(10);
  expect(pool.freePieces()).toEqual([
    [35, 5],
    [60, 40],
  ]);
  expect(pool.allocate(41)).toBeUndefined();
});

it('the next power of two of the output, as the paper puts it: 25 -> 32', () => {
  const reserve = reserveNextPowerOfTwo(({ outputTokens }) => outputTokens);
  expect([1, 2, 25, 32, 33].map((output) => reserve(request(100, output), 2048) - 100)).toEqual([1, 2, 32, 32, 64]);
  expect(reserve(request(100, 1500), 2048)).toBe(2048);
});

describe('shares of one step', () => {
  const fits = Array.from({ length: 20 }, () => request(161, 338));

  it('orca-max: seven rows of 2048, the rest is external', () => {
    const { system, memory, running } = serve('orca-max', fits);
    expect(system.schedule()).toBe(true);
    expect(running()).toBe(7);
    const internal = 7 * (2048 - 499);
    expect(memory()).toEqual({
      tokenStates: 7 * 161,
      reserved: 7 * 338,
      internal,
      external: paperPool - 7 * 2048,
      free: 0,
    });
  });

  it('orca-pow2: 161 + 512 in pieces of 1024', () => {
    const { system, memory, running } = serve('orca-pow2', fits);
    system.schedule();
    expect(running()).toBe(15);
    expect(memory()).toMatchObject({ internal: 15 * (512 - 338), external: paperPool - 15 * (161 + 512) });
  });

  it('orca-oracle: 499 in pieces of 512, nothing lost inside what was asked for', () => {
    const { system, memory, running } = serve(
      'orca-oracle',
      Array.from({ length: 40 }, () => request(161, 338)),
    );
    system.schedule();
    expect(running()).toBe(30);
    expect(memory()).toMatchObject({ internal: 0, external: paperPool - 30 * 499 });
    expect((system as ContiguousSystem).roundingSlots).toBe(30 * (512 - 499));
  });

  it('with nobody waiting what is left is free', () => {
    const { system, memory } = serve('orca-max', [request(161, 338)]);
    system.schedule();
    expect(memory()).toMatchObject({ external: 0, free: paperPool - 2048 });
  });
});

it('the head of the queue holds up smaller ones behind it', () => {
  const { system, events } = serve('best-fit', [request(50, 2), request(60, 3), request(1, 1)], 100, 100);
  for (let step = 0; step < 5; step++) {
    system.schedule();
    system.complete();
  }
  expect(events).toEqual(['first 0', 'end 0', 'first 1', 'first 2', 'end 2', 'end 1']);
  expect(system.schedule()).toBe(false);
});

it('a request that no empty pool holds is rejected with the figures, and blocks nobody', () => {
  const { system, events } = serve('orca-max', [request(50, 2)], 2000);
  expect(events).toEqual(['rejected 0: 2048 contiguous slots are more than an empty pool of 2000 gives']);
  expect(system.unfinished).toBe(0);
  expect(serve('best-fit', [request(100, 2)], 2000, 100).events[0]).toContain('100 prompt tokens leave no room');
});

it('parallel samples take a piece each, all or none', () => {
  const { system, memory, running } = serve(
    'orca-oracle',
    [request(5, 3, { samples: 3 }), request(5, 3, { samples: 3 })],
    40,
  );
  system.schedule();
  expect(running()).toBe(1);
  expect(memory()).toMatchObject({ tokenStates: 15, reserved: 9, external: 16 });
});

it('a static batch pads to its longest and ends with its last', () => {
  const { system, events, memory } = serve('static-batching', [request(10, 2), request(4, 5), request(30, 3)], 60);
  system.schedule();
  expect(system.work).toMatchObject({ tokens: 20, prefillTokens: 20, rows: 2, decodeContext: 0 });
  expect(memory()).toEqual({ tokenStates: 14, reserved: 7, internal: 30 - 21, external: 30, free: 0 });
  for (let step = 0; step < 4; step++) {
    system.complete();
    system.schedule();
  }
  expect(system.work).toMatchObject({ tokens: 2, decodeContext: 2 * (10 + 4) });
  expect(memory()).toMatchObject({ tokenStates: 8, reserved: 1, internal: 21 });
  system.complete();
  expect(events).toEqual(['first 0', 'first 1', 'end 0', 'end 1']);
});
