// Laws of the servers on contiguous memory, for every policy over random workloads: the shares sum to the pool at every step and are
// what the first and last steps of the requests imply, pieces never overlap and all come back, requests start in order, run without
// a break, and each ends exactly once.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createContiguous } from '../../src/sim/contiguous/index.ts';
import { type ContiguousPolicy, contiguousPolicies } from '../../src/sim/contiguous/policies.ts';
import { type StepTimeModel, simulate } from '../../src/sim/run/simulate.ts';
import type { MemoryShares, RequestListener, SimRequest } from '../../src/sim/types.ts';

const shape = fc.record({
  arrival: fc.nat({ max: 30 }),
  promptTokens: fc.integer({ min: 0, max: 40 }),
  outputTokens: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 50 })),
  unusedTokens: fc.nat({ max: 20 }),
  samples: fc.constantFrom(1, 1, 1, 2, 3),
});
const server = fc.record({
  poolTokens: fc.nat({ max: 300 }),
  maxModelLen: fc.integer({ min: 2, max: 64 }),
  maxNumSeqs: fc.integer({ min: 1, max: 8 }),
});

type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;
type Server = typeof server extends fc.Arbitrary<infer T> ? T : never;

/** What happened to each request, by step, and the memory of every step. */
interface Trace {
  requests: SimRequest[];
  first: number[];
  finish: number[];
  rejected: boolean[];
  memory: MemoryShares[];
  waiting: number[];
}

function follow(policy: ContiguousPolicy, shapes: Shape[], config: Server): Trace {
  const requests = toRequests(shapes);
  const trace: Trace = { requests, first: [], finish: [], rejected: [], memory: [], waiting: [] };
  let step = 0;
  const once = <T>(list: T[], request: number, value: T) => {
    if (list[request] !== undefined) throw new Error(`request ${request} reported twice`);
    list[request] = value;
  };
  const system = createContiguous(policy, { requests }, config, {
    firstToken: (request) => once(trace.first, request, step),
    finished: (request) => once(trace.finish, request, step),
    rejected: (request) => once(trace.rejected, request, true),
  });
  const held = new Map<number, number>();
  system.pieceEvents = {
    taken(_, start, slots) {
      for (const [other, size] of held) if (start < other + size && other < start + slots) throw new Error('overlap');
      if (start + slots > config.poolTokens) throw new Error('beyond the pool');
      held.set(start, slots);
    },
    freed(_, start, slots) {
      if (held.get(start) !== slots) throw new Error('freed otherwise than it was taken');
      held.delete(start);
    },
  };
  let next = 0;
  for (; next < requests.length || system.unfinished > 0; step++) {
    while (next < requests.length && requests[next]!.arrival <= step) system.add(next++);
    const scheduled = system.schedule();
    if (!scheduled && system.unfinished > 0) throw new Error('unfinished requests and nothing to do');
    const memory = { tokenStates: 0, reserved: 0, internal: 0, external: 0, free: 0 };
    const queues = { running: 0, waiting: 0, swapped: 0, usedBlocks: 0, cachedBlocks: 0 };
    system.memory(memory);
    system.queues(queues);
    if (queues.usedBlocks !== [...held.values()].reduce((a, b) => a + b, 0)) throw new Error('slots are lost');
    if (queues.running + queues.waiting !== system.unfinished) throw new Error('a request is lost');
    trace.memory.push(memory);
    trace.waiting.push(queues.waiting);
    if (scheduled) system.complete();
  }
  if (held.size > 0) throw new Error('pieces are left behind');
  return trace;
}

function toRequests(shapes: Shape[]): SimRequest[] {
  const ordered = [...shapes].sort((a, b) => a.arrival - b.arrival);
  return ordered.map((one, index) => ({
    id: `${index}`,
    arrival: one.arrival,
    prompt: [0, one.promptTokens],
    promptTokens: one.promptTokens,
    outputTokens: one.outputTokens,
    maxTokens: one.outputTokens + one.unusedTokens,
    outputBase: 1000 * index,
    samples: one.samples,
  }));
}

/** Token states and reserved slots of one step, from nothing but when each request began and what it asked for. */
function implied(
  { requests, first, finish }: Trace,
  step: number,
  maxModelLen: number,
): [tokens: number, reserved: number] {
  let tokens = 0;
  let reserved = 0;
  requests.forEach(({ promptTokens, outputTokens, samples }, k) => {
    const output = Math.min(outputTokens, maxModelLen - promptTokens);
    const generated = step - first[k]!;
    if (!(generated >= 0 && step <= finish[k]! && generated < output)) return;
    tokens += (promptTokens + generated) * samples!;
    reserved += (output - generated) * samples!;
  });
  return [tokens, reserved];
}

describe.each(contiguousPolicies)('%s', (policy) => {
  it('keeps the laws', () => {
    const law = fc.property(fc.array(shape, { maxLength: 10 }), server, (shapes, config) => {
      const trace = follow(policy, shapes, config);
      const { requests, first, finish, rejected } = trace;
      trace.memory.forEach((memory, step) => {
        const { tokenStates, reserved, internal, external, free } = memory;
        const all = [tokenStates, reserved, internal, external, free];
        if (all.some((share) => !(share >= 0))) expect.fail(`negative share ${all}`);
        if (all.reduce((a, b) => a + b) !== config.poolTokens) expect.fail(`${all} is not ${config.poolTokens}`);
        if ((trace.waiting[step]! > 0 ? free : external) !== 0) expect.fail('external only while something waits');
        const [tokens, toCome] = implied(trace, step, config.maxModelLen);
        if (tokens !== tokenStates || toCome !== reserved) expect.fail(`${all}, implied ${tokens}, ${toCome}`);
        if (policy === 'orca-oracle' && internal !== 0) expect.fail('the oracle wastes nothing inside');
      });
      let latest = -1;
      requests.forEach((request, k) => {
        if ((rejected[k] === true) === (finish[k] !== undefined)) expect.fail(`request ${k} is lost`);
        if (rejected[k]) return;
        if (first[k]! < latest) expect.fail(`request ${k} overtook another`);
        latest = first[k]!;
        const output = Math.min(request.outputTokens, config.maxModelLen - request.promptTokens);
        const steps = finish[k]! - first[k]! + 1;
        if (policy === 'static-batching' ? steps < output : steps !== output) expect.fail(`${steps} steps`);
      });
    });
    fc.assert(law, { numRuns: 10_000 });
  });
});

it.each(contiguousPolicies)('%s gives the same result whether or not quiet steps are passed over', (policy) => {
  const law = fc.property(fc.array(shape, { maxLength: 10 }), server, fc.boolean(), (shapes, config, timed) => {
    const workload = { requests: toRequests(shapes) };
    const stepTime: StepTimeModel = {
      seconds: ({ tokens, decodeContext, rows }) => 0.01 + tokens / 1000 + decodeContext / 70_000 + rows / 3000,
      estimate: 'fixed',
      uncertainty: '',
    };
    const run = (stepByStep: boolean) => {
      const system = (listener: RequestListener) => createContiguous(policy, workload, config, listener);
      return simulate({ workload, system, clock: { stepByStep }, ...(timed ? { stepTime } : {}) });
    };
    expect(run(false)).toEqual(run(true));
  });
  fc.assert(law, { numRuns: 1000 });
});

const knowing: readonly ContiguousPolicy[] = ['orca-pow2', 'orca-oracle'];

it.each(contiguousPolicies.filter((policy) => !knowing.includes(policy)))(
  '%s does not know when a request will end',
  (policy) => {
    const law = fc.property(fc.array(shape, { minLength: 1, maxLength: 10 }), server, (shapes, config) => {
      const longer = shapes.map((one) => ({
        ...one,
        outputTokens: one.outputTokens + one.unusedTokens,
        unusedTokens: 0,
      }));
      const [ends, lasts] = [follow(policy, shapes, config), follow(policy, longer, config)];
      const until = Math.min(...ends.finish.filter((step) => step !== undefined));
      const started = (trace: Trace) => trace.first.map((step) => (step <= until ? step : undefined));
      expect(started(ends)).toEqual(started(lasts));
    });
    fc.assert(law, { numRuns: 1000 });
  },
);
