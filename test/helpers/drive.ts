// Drives a serving system step by step with a clock that gives every step the duration 1, and writes down what happens; random
// small workloads with shared prefixes for property tests.
import fc from 'fast-check';
import { assert } from '../../src/assert.ts';
import type { MemoryShares, RequestListener, ServingSystem, SimRequest, Workload } from '../../src/sim/types.ts';

interface Driven {
  readonly system: ServingSystem;
  readonly steps: number;
  readonly firstToken: Map<number, number>;
  readonly finished: Map<number, number>;
  readonly rejected: Map<number, string>;
  readonly preempted: number[];
}

interface DriveHooks<S extends ServingSystem> {
  /** After every schedule(), whether or not it could schedule anything. */
  scheduled?(system: S, step: number): void;
  /** After every complete(). */
  completed?(system: S, step: number): void;
}

export function drive<S extends ServingSystem>(
  workload: Workload,
  create: (workload: Workload, listener: RequestListener) => S,
  hooks: DriveHooks<S> = {},
): Driven & { system: S } {
  const [firstToken, finished] = [new Map<number, number>(), new Map<number, number>()];
  const rejected = new Map<number, string>();
  const preempted: number[] = [];
  let now = 0;
  const listener: RequestListener = {
    firstToken: (request) => {
      assert(!firstToken.has(request), `request ${request} has two first tokens`);
      firstToken.set(request, now);
    },
    finished: (request) => {
      assert(!finished.has(request), `request ${request} finishes twice`);
      finished.set(request, now);
    },
    rejected: (request, reason) => {
      assert(!rejected.has(request) && !finished.has(request), `request ${request} is rejected late or twice`);
      rejected.set(request, reason);
    },
    preempted: (request) => void preempted.push(request),
  };
  const system = create(workload, listener);
  const { requests } = workload;
  const shares: MemoryShares = { tokenStates: 0, reserved: 0, internal: 0, external: 0, free: 0 };
  let next = 0;
  let steps = 0;
  for (; next < requests.length || system.unfinished > 0; now++) {
    while (next < requests.length && requests[next]!.arrival <= now) system.add(next++);
    const working = system.schedule();
    hooks.scheduled?.(system, now);
    if (!working) continue;
    assert(++steps < 100_000, 'the system does not come to an end');
    system.memory(shares);
    const sum = shares.tokenStates + shares.reserved + shares.internal + shares.external + shares.free;
    assert(sum === system.poolTokens, `shares sum to ${sum}, the pool has ${system.poolTokens}`);
    assert(Math.min(...Object.values(shares)) >= 0, 'shares are not negative');
    assert(system.complete(), 'a synchronous step completes');
    hooks.completed?.(system, now);
  }
  assert(finished.size + rejected.size === requests.length, 'every request finishes or is rejected');
  return { system, steps, firstToken, finished, rejected, preempted };
}

/** Tokens of a request, one by one: the prompt and what has been generated. */
export function tokensOf(request: SimRequest, generated: number, sample = 0): number[] {
  const tokens: number[] = [];
  for (let i = 0; i < request.prompt.length; i += 2) {
    for (let token = request.prompt[i]!; token < request.prompt[i + 1]!; token++) tokens.push(token);
  }
  for (let k = 0; k < generated; k++) tokens.push(request.outputBase + sample * request.maxTokens + k);
  return tokens;
}

interface WorkloadLimits {
  readonly requests?: number;
  readonly prompt?: number;
  readonly output?: number;
  readonly gap?: number;
  /** Most parallel samples of a prompt. */
  readonly samples?: number;
}

/** Prompts are a shared prefix, perhaps a second shared part, and tokens of their own. */
export function workloads({
  requests = 8,
  prompt = 12,
  output = 8,
  gap = 4,
  samples = 1,
}: WorkloadLimits = {}): fc.Arbitrary<Workload> {
  const row = fc.record({
    gap: fc.nat(gap),
    prefix: fc.nat(2),
    prefixTokens: fc.nat(prompt),
    middle: fc.nat(1),
    middleTokens: fc.nat(Math.ceil(prompt / 2)),
    own: fc.nat(3),
    output: fc.integer({ min: 1, max: output }),
    spare: fc.nat(2),
    samples: fc.integer({ min: 1, max: samples }),
  });
  return fc.array(row, { minLength: 1, maxLength: requests }).map((rows) => {
    let arrival = 0;
    return {
      requests: rows.map((shape, index) => {
        arrival += shape.gap;
        const runs = [
          [shape.prefix * 1000, shape.prefixTokens],
          [5000 + shape.middle * 1000, shape.middleTokens],
          [100_000 + index * 100, shape.own],
        ].filter(([, length]) => length! > 0);
        const parts = runs.length > 0 ? runs : [[0, 1]];
        return {
          id: `r${index}`,
          arrival,
          prompt: parts.flatMap(([from, length]) => [from!, from! + length!]),
          promptTokens: parts.reduce((sum, [, length]) => sum + length!, 0),
          outputTokens: shape.output,
          maxTokens: shape.output + shape.spare,
          outputBase: 1_000_000 + index * 1000,
          ...(shape.samples > 1 ? { samples: shape.samples } : {}),
        };
      }),
    };
  });
}
