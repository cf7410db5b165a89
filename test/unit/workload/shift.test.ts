// Arrivals moved in time: the same requests, rotated within the span of the trace, conversations whole.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SimRequest, Workload } from '../../../src/sim/types.ts';
import { withShift } from '../../../src/sim/workload/transform.ts';

function request(id: number, arrival: number, after?: number): SimRequest {
  const prompt = [id * 10, id * 10 + 5];
  return {
    id: String(id),
    arrival,
    prompt,
    promptTokens: 5,
    outputTokens: 2,
    maxTokens: 2,
    outputBase: 1e6 * id,
    ...(after === undefined ? {} : { after }),
  };
}

const arrivals = ({ requests }: Workload): [string, number][] => requests.map(({ id, arrival }) => [id, arrival]);

describe('withShift', () => {
  it('moves later, and past the end to the start again', () => {
    const workload = { requests: [request(0, 0), request(1, 10), request(2, 20), request(3, 30)] };
    // The period is 30 s and a mean gap of 10.
    const { workload: moved, order } = withShift(workload, 15);
    expect(arrivals(moved)).toEqual([
      ['3', 5],
      ['0', 15],
      ['1', 25],
      ['2', 35],
    ]);
    expect(order).toEqual([3, 0, 1, 2]);
    expect(arrivals(withShift(workload, -25).workload)).toEqual(arrivals(moved));
  });

  it('keeps conversations whole: later turns move as the first one does', () => {
    const workload = { requests: [request(0, 0), request(1, 5, 0), request(2, 10), request(3, 15, 2), request(4, 20)] };
    const { workload: moved } = withShift(workload, 12);
    expect(arrivals(moved)).toEqual([
      ['4', 7],
      ['0', 12],
      ['1', 17],
      ['2', 22],
      ['3', 27],
    ]);
    expect(moved.requests.map(({ after }) => after)).toEqual([undefined, undefined, 1, undefined, 3]);
  });

  it('loses nobody, and whole periods change nothing', () => {
    const workloads = fc
      .array(fc.integer({ min: 0, max: 1000 }), { minLength: 2, maxLength: 30 })
      .map((times) => ({ requests: times.sort((a, b) => a - b).map((time, i) => request(i, time)) }));
    fc.assert(
      fc.property(workloads, fc.integer({ min: -5000, max: 5000 }), (workload, seconds) => {
        const { workload: moved, order } = withShift(workload, seconds);
        expect([...order].sort((a, b) => a - b)).toEqual(workload.requests.map((_, i) => i));
        const times = moved.requests.map(({ arrival }) => arrival);
        expect(times).toEqual([...times].sort((a, b) => a - b));
        expect(moved.requests.map(({ id }) => id)).toEqual(order.map(String));
      }),
      { seed: 1 },
    );
    const steady = { requests: [0, 4, 8, 12].map((time, i) => request(i, time)) };
    expect(withShift(steady, 16).workload).toEqual(steady);
  });

  it('everything at once stays so; a closed loop has nothing to move', () => {
    const once = { requests: [request(0, 3), request(1, 3)] };
    expect(withShift(once, 100).workload).toEqual(once);
    expect(() => withShift({ requests: [], concurrency: 2 }, 1)).toThrow(/closed loop/);
    expect(withShift({ requests: [] }, 1).workload.requests).toEqual([]);
  });
});
