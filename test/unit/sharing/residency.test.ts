// Weights on demand, rule by rule: who is loaded when and from where, who goes for it, and what that takes. A weight byte takes one
// second from the host and two from disk, so that every time below is counted by hand.
import { describe, expect, it } from 'vitest';
import type { LoadingPolicy } from '../../../src/spec/sharing.ts';
import { Bench, type ModelShape, plainLoading } from '../../helpers/residency.ts';

function bench(room: number | number[], shapes: ModelShape[], change: Partial<LoadingPolicy> = {}): Bench {
  return new Bench({ shapes, capacity: [room].flat(), loading: { ...plainLoading, ...change } });
}

const absent = 0;
const loading = 1;
const ready = 2;
const leaving = 3;

describe('without a loading behaviour', () => {
  it('has all models in memory from the start to the end', () => {
    const pool = new Bench({ shapes: [{ bytes: 3 }, { bytes: 4, place: 'disk' }], capacity: [7] });
    expect(pool.states()).toEqual([ready, ready]);
    expect(pool.residency.nextTime()).toBe(Infinity);
    pool.end(0, 5);
    expect(pool.until(1e9)).toEqual([]);
    expect(pool.residency.counters[1]).toMatchObject({ fromHost: 0, fromDisk: 0 });
  });

  it('says which does not fit', () => {
    const pool = new Bench({ shapes: [{ bytes: 3 }, { bytes: 5 }], capacity: [7] });
    expect(pool.states()).toEqual([ready, absent]);
    expect(pool.residency.impossible(1)).toBe(true);
  });
});

describe('loading', () => {
  it('begins with the first request and takes the start and the bytes at the rate of where they are', () => {
    const shapes: ModelShape[] = [
      { bytes: 3, place: 'host' },
      { bytes: 4, place: 'disk', devices: [1] },
    ];
    const pool = bench([9, 9], shapes, { startSeconds: { disk: 10, host: 0.5 }, linkShare: 0.5 });
    pool.request(0, 100);
    pool.request(1, 100);
    expect(pool.until(1000)).toEqual([
      [106.5, 0],
      [118, 1],
    ]);
    expect(pool.residency.counters[0]).toMatchObject({ fromHost: 1, fromDisk: 0, seconds: 6.5 });
    expect(pool.residency.counters[1]).toMatchObject({ fromHost: 0, fromDisk: 1, seconds: 18 });
  });

  it('is bounded by the loader, and several GPUs share one disk but no link', () => {
    const slow = bench([9, 9], [{ bytes: 3, place: 'host', devices: [0, 1] }], { loaderRate: 0.25 });
    slow.request(0, 0);
    expect(slow.until(99)).toEqual([[12, 0]]);
    const fromDisk = bench([9, 9], [{ bytes: 3, devices: [0, 1] }]);
    fromDisk.request(0, 0);
    expect(fromDisk.until(99)).toEqual([[12, 0]]);
  });

  it('goes one by one over a link, first wanted first, larger priority before', () => {
    const shape: ModelShape = { bytes: 2, place: 'host' };
    const pool = bench(10, [shape, shape, shape, { ...shape, priority: 1 }]);
    pool.request(2, 0);
    pool.request(0, 0.5);
    pool.until(0.5);
    pool.request(1, 1);
    pool.request(3, 1.5);
    expect(pool.until(99)).toEqual([
      [2, 2],
      [4, 3],
      [6, 0],
      [8, 1],
    ]);
  });

  it('of two GPUs does not wait for each other, unless both read the disk', () => {
    const host = [0, 1].map((device): ModelShape => ({ bytes: 2, place: 'host', devices: [device] }));
    const disk = host.map((shape): ModelShape => ({ ...shape, place: 'disk' }));
    const ends = [host, disk].map((shapes) => {
      const pool = bench([4, 4], shapes);
      pool.request(0, 0);
      pool.request(1, 0);
      return pool.until(99).map(([time]) => time);
    });
    expect(ends).toEqual([
      [2, 2],
      [4, 8],
    ]);
  });

  it('comes from the host when it was read before, while host memory has room', () => {
    for (const [hostMemoryBytes, seconds] of [
      [null, 2],
      [3, 4],
      [4, 2],
    ] as const) {
      const pool = bench(2, [{ bytes: 2 }, { bytes: 2 }], { keepAliveSeconds: 1, hostMemoryBytes });
      pool.request(0, 0);
      pool.until(10);
      pool.end(0, 10);
      pool.until(20);
      pool.request(1, 20);
      pool.until(30);
      pool.end(1, 30);
      pool.until(40);
      pool.request(0, 40);
      expect(pool.until(99)).toEqual([[40 + seconds, 0]]);
    }
  });

  it('hides what was fetched while another computed', () => {
    const shapes: ModelShape[] = [
      { bytes: 4, place: 'resident' },
      { bytes: 4, place: 'host' },
    ];
    for (const [waited, seconds] of [
      [0, 4],
      [1, 3],
      [100, 1],
    ] as const) {
      const pool = bench(4, shapes, { prefetch: 0.75 });
      pool.request(0, 0);
      pool.request(1, 1);
      pool.until(1 + waited);
      pool.end(0, 1 + waited);
      expect(pool.until(999)).toEqual([[1 + waited + seconds, 1]]);
    }
  });
});

describe('unloading', () => {
  it('comes so long after the last request, and not when one comes at that very moment', () => {
    const pool = bench(9, [{ bytes: 2, place: 'resident' }], { keepAliveSeconds: 300 });
    pool.request(0, 10);
    pool.end(0, 20);
    expect(pool.residency.nextTime()).toBe(320);
    pool.request(0, 320);
    expect(pool.residency.advance(320)).toEqual([]);
    expect(pool.states()).toEqual([ready]);
    pool.end(0, 330);
    pool.until(629);
    expect(pool.states()).toEqual([ready]);
    pool.until(630);
    expect(pool.states()).toEqual([absent]);
    expect(pool.residency.counters[0]).toMatchObject({ unloads: 1, switches: 0 });
  });

  it('is at once with a keep-alive of zero, and takes its time', () => {
    const pool = bench(9, [{ bytes: 2, place: 'host' }], { keepAliveSeconds: 0, unloadSeconds: 1 });
    pool.request(0, 0);
    pool.until(2);
    pool.end(0, 5);
    pool.until(5);
    expect(pool.states()).toEqual([leaving]);
    expect(pool.held[0]).toBe(true);
    // Wanted while it leaves: it has to be gone first.
    pool.request(0, 5.5);
    expect(pool.until(99)).toEqual([[8, 0]]);
    expect(pool.residency.counters[0]).toMatchObject({ fromHost: 2, unloads: 1 });
  });

  it('lets the least recently used idle model go, or the first in a fixed order', () => {
    for (const [unloads, gone] of [
      ['idle-lru', 1],
      ['idle-fixed', 0],
    ] as const) {
      const shapes = [1, 2, 3].map((): ModelShape => ({ bytes: 2, place: 'resident' }));
      const pool = bench(6, [...shapes, { bytes: 2, place: 'host' }], { unloads });
      for (const [model, time] of [
        [1, 1],
        [0, 2],
        [2, 3],
      ] as const) {
        pool.request(model, time);
        pool.end(model, time + 0.1);
      }
      pool.request(3, 4);
      expect(pool.until(99)).toEqual([[6, 3]]);
      expect(pool.states().indexOf(absent)).toBe(gone);
    }
  });

  it('waits for a model to be idle, and who waits is not overtaken by one that would fit', () => {
    const pool = bench(3, [
      { bytes: 2, place: 'resident' },
      { bytes: 3, place: 'host' },
      { bytes: 1, place: 'host' },
    ]);
    pool.request(0, 0);
    pool.request(1, 1);
    pool.request(2, 2);
    expect(pool.until(9)).toEqual([]);
    pool.end(0, 10);
    expect(pool.until(20)).toEqual([[13, 1]]);
    expect(pool.states()).toEqual([absent, ready, absent]);
    pool.end(1, 30);
    expect(pool.until(99)).toEqual([[31, 2]]);
  });

  it('leaves models on other GPUs alone', () => {
    const shapes = [0, 1].map((device): ModelShape => ({ bytes: 2, place: 'resident', devices: [device] }));
    const pool = bench([2, 2], [...shapes, { bytes: 2, place: 'host', devices: [1] }]);
    pool.request(2, 1);
    expect(pool.until(99)).toEqual([[3, 2]]);
    expect(pool.states()).toEqual([ready, absent, ready]);
  });

  it('keeps at most so many: one is llama-swap, whatever the room', () => {
    const shapes = [0, 1].map((device): ModelShape => ({ bytes: 2, place: 'host', devices: [device] }));
    const pool = bench([99, 99], shapes, { maxLoaded: 1 });
    pool.request(0, 0);
    pool.until(2);
    pool.request(1, 3);
    pool.until(9);
    expect(pool.states()).toEqual([ready, absent]);
    pool.end(0, 10);
    expect(pool.until(99)).toEqual([[12, 1]]);
    expect(pool.states()).toEqual([absent, ready]);
    const each = bench([99, 99], shapes, { maxLoaded: 1, maxLoadedPerGpu: true });
    each.request(0, 0);
    each.request(1, 0);
    expect(each.until(99)).toHaveLength(2);
  });

  it('drains the one that is to go, as ollama does: requests for it queue behind the one that needs the room', () => {
    for (const drains of [true, false]) {
      const pool = bench(
        2,
        [
          { bytes: 2, place: 'resident' },
          { bytes: 2, place: 'host' },
        ],
        { drains },
      );
      pool.request(0, 0);
      pool.request(1, 1);
      pool.until(1);
      expect(pool.residency.admits(0)).toBe(!drains);
      expect(pool.residency.isReady(0)).toBe(true);
      if (!drains) continue;
      pool.residency.want(0, 2);
      pool.end(0, 5);
      expect(pool.until(8)).toEqual([[7, 1]]);
      pool.end(1, 9);
      expect(pool.until(99)).toEqual([[11, 0]]);
    }
  });

  it('stops draining when room came from elsewhere', () => {
    const pool = bench(
      4,
      [
        { bytes: 2, place: 'resident' },
        { bytes: 2, place: 'resident' },
        { bytes: 2, place: 'host' },
      ],
      {
        drains: true,
      },
    );
    pool.request(0, 0);
    pool.request(1, 0.5);
    pool.request(2, 1);
    pool.until(1);
    expect(pool.residency.admits(0)).toBe(false);
    pool.residency.want(0, 2);
    pool.end(1, 3);
    // Model 1 went instead: model 0 takes requests again as soon as nobody waits.
    expect(pool.until(5)).toEqual([
      [5, 2],
      [5, 0],
    ]);
    expect(pool.states()).toEqual([ready, absent, ready]);
    expect(pool.residency.admits(0)).toBe(true);
  });

  it('copies weights out, as sleeping vLLM does, and drops them where the host has no room', () => {
    const shapes: ModelShape[] = [
      { bytes: 2, place: 'resident' },
      { bytes: 3, place: 'resident', devices: [1] },
    ];
    for (const [hostMemoryBytes, gone, back] of [
      [null, 12, 22],
      [1, 10, 24],
    ] as const) {
      const pool = bench([2, 3], shapes, { savesWeights: true, keepAliveSeconds: 10, hostMemoryBytes });
      pool.until(gone - 0.01);
      expect(pool.held[0]).toBe(true);
      pool.until(gone);
      expect(pool.held[0]).toBe(false);
      pool.request(0, 20);
      expect(pool.until(99)).toEqual([[back, 0]]);
    }
  });

  it('never happens where nobody goes', () => {
    const pool = bench(
      3,
      [
        { bytes: 2, place: 'resident' },
        { bytes: 2, place: 'host' },
      ],
      { unloads: 'never' },
    );
    pool.request(1, 1);
    expect(pool.until(1e6)).toEqual([]);
    expect(pool.residency.impossible(1)).toBe(false);
  });
});

describe('token by token', () => {
  const two: ModelShape[] = [
    { bytes: 2, place: 'resident' },
    { bytes: 2, place: 'host' },
  ];

  it('takes a busy model off when its turn is over, its KV cache out and back', () => {
    const pool = bench(2, two, { unloads: 'busy', quantumSeconds: 10 });
    pool.request(0, 0);
    pool.kv[0] = 3;
    pool.request(1, 4);
    // 10: over; 13: KV out; 15: model 1 in; 25: its turn over, model 0 back with weights and KV.
    expect(pool.until(26)).toEqual([[15, 1]]);
    expect(pool.until(30)).toEqual([[30, 0]]);
    expect(pool.residency.counters[0]).toMatchObject({ switches: 1, unloads: 1, fromHost: 1, seconds: 5 });
  });

  it('lets idle models go first, and nobody while no one waits', () => {
    const pool = bench(4, [...two, { bytes: 2, place: 'host' }], { unloads: 'busy', quantumSeconds: 1 });
    pool.request(0, 0);
    pool.request(1, 0);
    pool.until(50);
    expect(pool.states()).toEqual([ready, ready, absent]);
    pool.end(1, 51);
    pool.request(2, 52);
    expect(pool.until(53)).toEqual([]);
    expect(pool.states()).toEqual([ready, absent, loading]);
    expect(pool.residency.counters.map(({ switches }) => switches)).toEqual([0, 0, 0]);
  });

  it('begins a turn with its first request, and loads who asked before the one that is taken off for it', () => {
    const pool = bench(2, two, { unloads: 'busy', quantumSeconds: 10 });
    pool.request(0, 0);
    pool.end(0, 1);
    pool.request(0, 20);
    pool.request(1, 22);
    // Not at 22, though model 0 is there since 0; over at 30.
    expect(pool.until(33)).toEqual([[32, 1]]);
    pool.end(1, 33);
    expect(pool.until(60)).toEqual([[35, 0]]);
    // Its turn is long over when model 1 is wanted anew: that one is loaded, though both want to be from this moment.
    pool.request(1, 60);
    expect(pool.until(62)).toEqual([[62, 1]]);
  });

  it('takes turns among all who have requests', () => {
    const pool = bench(2, [...two, { bytes: 2, place: 'host' }], { unloads: 'busy', quantumSeconds: 4 });
    for (const model of [0, 1, 2]) pool.request(model, 0);
    expect(pool.until(29)).toEqual([
      [6, 1],
      [12, 2],
      [18, 0],
      [24, 1],
    ]);
  });
});

describe('preloads and what can never be loaded', () => {
  it('loads at the given time unasked, for idle models only', () => {
    const pool = bench(
      4,
      [
        { bytes: 2, place: 'resident' },
        { bytes: 4, place: 'host', preloadAt: [5, 60] },
      ],
      {
        keepAliveSeconds: 20,
      },
    );
    pool.request(0, 0);
    expect(pool.until(7)).toEqual([]);
    pool.end(0, 8);
    expect(pool.until(31)).toEqual([[12, 1]]);
    expect(pool.states()).toEqual([absent, ready]);
    expect(pool.until(99)).toEqual([[64, 1]]);
    expect(pool.states()).toEqual([absent, absent]);
  });

  it('lets requests pass before a preload that finds no room', () => {
    const pool = bench(4, [
      { bytes: 3, place: 'resident' },
      { bytes: 2, place: 'host', preloadAt: [1] },
      { bytes: 1, place: 'host' },
    ]);
    pool.request(0, 0);
    pool.until(2);
    pool.request(2, 3);
    expect(pool.until(99)).toEqual([[4, 2]]);
  });

  it('sets a model aside that is larger than the room, and serves the others', () => {
    const pool = bench(4, [
      { bytes: 2, place: 'resident' },
      { bytes: 5, place: 'host' },
      { bytes: 4, place: 'host' },
    ]);
    pool.request(1, 1);
    pool.request(2, 2);
    expect(pool.until(99)).toEqual([[6, 2]]);
    expect(pool.residency.impossible(1)).toBe(true);
    expect(pool.residency.impossible(2)).toBe(false);
    pool.request(1, 100);
    expect(pool.residency.nextTime()).toBe(Infinity);
  });
});
