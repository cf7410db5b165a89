// What happens to blocks and requests during a run, one event after the other with its time, for those who want to see each. Blocks
// are seen where the policy has a paged pool of one replica, pieces where its memory is contiguous; requests always.
import type { PieceEvents } from './contiguous/allocator.ts';
import { StaticBatchSystem } from './contiguous/static.ts';
import { ContiguousSystem } from './contiguous/system.ts';
import { FannedOut } from './fan-out.ts';
import type { PoolEvents } from './paged/block-pool.ts';
import { PagedSystem } from './paged/system.ts';
import type { StepObserver } from './run/clock.ts';
import type { RequestListener, ServingSystem, Workload } from './types.ts';

export type SimEvent = { t: number; step: number } & (
  | { event: 'freed' | 'evicted'; block: number }
  // `hit`: a cached block, found by its content; shared: one that others hold already.
  | { event: 'taken'; block: number; request?: string; hit?: true }
  | { event: 'shared'; block: number; request?: string }
  | { event: 'taken' | 'freed'; request: string; start: number; slots: number }
  | { event: 'arrived' | 'first-token' | 'finished'; request: string }
  | { event: 'preempted'; request: string; computedTokens: number; kind: string }
  | { event: 'rejected'; request: string; reason: string }
);

export type EventSink = (event: SimEvent) => void;

type Untimed<Event> = Event extends SimEvent ? Omit<Event, 't' | 'step'> : never;

interface Watched {
  listener(inner: RequestListener): RequestListener;
  system(inner: ServingSystem): ServingSystem;
  observer: StepObserver;
}

/** Events wait until their time is known: arrivals and blocks of a step have that of its start, outputs that of their coming. */
export function watch(sink: EventSink, { requests }: Workload): Watched {
  let step = 0;
  /** Steps whose output has not come, and when the next one does. */
  const inFlight: number[] = [];
  let outputTime = 0;
  let waiting: Untimed<SimEvent>[] = [];
  const note = (event: Untimed<SimEvent>): void => void waiting.push(event);
  const flush = (t: number, of: number): void => {
    for (const event of waiting) sink({ t, step: of, ...event } as SimEvent);
    waiting = [];
  };
  const id = (request: number): string => requests[request]!.id;
  /** The request that blocks are taken for, and whether it is by a hit. */
  let owner: number | undefined;
  let touching = false;
  const by = (): { request?: string } => (owner === undefined ? {} : { request: id(owner) });
  const pool: PoolEvents = {
    taken: (block) => note({ event: 'taken', block, ...by(), ...(touching ? { hit: true as const } : {}) }),
    freed: (block) => note({ event: 'freed', block }),
    evicted: (block) => note({ event: 'evicted', block }),
  };
  const pieces: PieceEvents = {
    taken: (request, start, slots) => note({ event: 'taken', request: id(request), start, slots }),
    freed: (request, start, slots) => note({ event: 'freed', request: id(request), start, slots }),
  };
  return {
    listener: (inner) => ({
      firstToken(request) {
        inner.firstToken(request);
        note({ event: 'first-token', request: id(request) });
      },
      finished(request) {
        inner.finished(request);
        note({ event: 'finished', request: id(request) });
      },
      rejected(request, reason) {
        inner.rejected(request, reason);
        note({ event: 'rejected', request: id(request), reason });
      },
      preempted(request, computedTokens, kind) {
        inner.preempted?.(request, computedTokens, kind);
        note({ event: 'preempted', request: id(request), computedTokens, kind });
      },
    }),
    system(inner) {
      const server = inner instanceof FannedOut ? inner.inner : inner;
      if (server instanceof PagedSystem) {
        server.kv.pool.events = pool;
        watchHits(server, (block, inUse, touch) => {
          if (inUse) note({ event: 'shared', block, ...by() });
          touching = true;
          touch();
          touching = false;
        });
        // Several sequences of one request have indices of their own.
        if (server === inner) {
          watchOwners(server, (request) => {
            owner = request;
          });
        }
      }
      if (inner instanceof ContiguousSystem || inner instanceof StaticBatchSystem) inner.pieceEvents = pieces;
      return watchedSystem(inner, {
        added: (request) => note({ event: 'arrived', request: id(request) }),
        completed() {
          flush(outputTime, inFlight.shift() ?? step);
        },
      });
    },
    observer: {
      scheduled(time, seconds) {
        flush(time, step);
        inFlight.push(step++);
        outputTime = time + seconds;
      },
      idle(from, to) {
        flush(from, step);
        outputTime = to;
      },
    },
  };
}

/** Tells of every block that is taken because of what it caches; only a watched server pays for it. */
function watchHits(
  { kv: { pool } }: PagedSystem,
  hit: (block: number, inUse: boolean, touch: () => void) => void,
): void {
  const touch = pool.touch.bind(pool);
  pool.touch = (block) => {
    if (block !== 0) hit(block, (pool.refs[block] as number) > 0, () => touch(block));
  };
}

/** Tells for which request blocks are being allocated; undefined when none is. */
function watchOwners({ kv }: PagedSystem, tell: (request: number | undefined) => void): void {
  const allocate = kv.allocate.bind(kv);
  kv.allocate = (sequence, ...rest) => {
    tell(sequence.index);
    const done = allocate(sequence, ...rest);
    tell(undefined);
    return done;
  };
}

function watchedSystem(
  inner: ServingSystem,
  on: { added: (request: number) => void; completed: () => void },
): ServingSystem {
  return {
    get poolTokens() {
      return inner.poolTokens;
    },
    get usableBlocks() {
      return inner.usableBlocks;
    },
    get blockSize() {
      return inner.blockSize;
    },
    get work() {
      return inner.work;
    },
    get unfinished() {
      return inner.unfinished;
    },
    get busy() {
      return inner.busy ?? false;
    },
    get counters() {
      return inner.counters;
    },
    get stepsAhead() {
      return inner.stepsAhead ?? 1;
    },
    get nextArrival() {
      return inner.nextArrival ?? Number.POSITIVE_INFINITY;
    },
    elapse: (seconds) => inner.elapse?.(seconds),
    add(request) {
      on.added(request);
      inner.add(request);
    },
    schedule: () => inner.schedule(),
    complete() {
      const completed = inner.complete();
      if (completed) on.completed();
      return completed;
    },
    memory: (into) => inner.memory(into),
    queues: (into) => inner.queues(into),
  };
}
