// Random models, GPUs, loading behaviours and requests: memory that is taken is given back once, who is ready has its memory, loads never
// share a link, numbers stay within their limits, and whoever can be served at all is served while requests end.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LoadingPolicy, unloadings, weightPlaces } from '../../src/spec/sharing.ts';
import { Bench, type ModelShape, plainLoading } from '../helpers/residency.ts';

const tenth = (max: number) => fc.integer({ min: 0, max: max * 10 }).map((n) => n / 10);
const shape: fc.Arbitrary<ModelShape> = fc.record({
  bytes: fc.integer({ min: 1, max: 5 }),
  devices: fc.constantFrom([0], [1], [0, 1]),
  place: fc.constantFrom(...weightPlaces),
  preloadAt: fc.array(tenth(50), { maxLength: 2 }),
});
const behaviour: fc.Arbitrary<LoadingPolicy> = fc
  .record({
    keepAliveSeconds: fc.option(tenth(10)),
    maxLoaded: fc.option(fc.integer({ min: 1, max: 3 })),
    maxLoadedPerGpu: fc.boolean(),
    unloads: fc.constantFrom(...unloadings),
    drains: fc.boolean(),
    startSeconds: fc.record({ disk: tenth(2), host: tenth(1) }),
    unloadSeconds: fc.constantFrom(0, 0.5),
    savesWeights: fc.boolean(),
    hostMemoryBytes: fc.option(fc.integer({ min: 0, max: 20 })),
    prefetch: fc.constantFrom(0, 0.9, 1),
  })
  .map((fields) => ({ ...plainLoading, ...fields, quantumSeconds: fields.unloads === 'busy' ? 3 : null }));
/** A pause, then a request for a model that computes so long. */
const requests = fc.array(fc.record({ pause: tenth(4), model: fc.nat(4), seconds: tenth(6) }), {
  minLength: 1,
  maxLength: 30,
});
const runs: fc.Arbitrary<RandomRun> = fc.record({
  shapes: fc.array(shape, { minLength: 1, maxLength: 5 }),
  capacity: fc.tuple(fc.integer({ min: 3, max: 12 }), fc.integer({ min: 3, max: 12 })),
  loading: behaviour,
  requests,
});

interface RandomRun {
  shapes: ModelShape[];
  capacity: number[];
  loading: LoadingPolicy;
  requests: { pause: number; model: number; seconds: number }[];
}

interface Waiting {
  model: number;
  arrival: number;
  seconds: number;
}

/** Serves requests one after another a model, in order, while it is ready; what is left at the end was never served. */
class Drive {
  readonly bench: Bench;
  readonly served: Waiting[] = [];
  private now = 0;

  constructor(
    private readonly run: { shapes: ModelShape[]; capacity: number[]; loading: LoadingPolicy },
    readonly left: Waiting[],
    private readonly check: (drive: Drive) => void,
  ) {
    this.bench = new Bench(run);
  }

  toEnd(): void {
    const { residency } = this.bench;
    for (let steps = 0; steps < 5_000; steps++) {
      const next = Math.min(residency.nextTime(), this.nextArrival(), this.nextEnd());
      if (next > 10_000) return;
      this.compute(Math.max(0, next - this.now));
      this.now = Math.max(this.now, next);
      this.arrive();
      this.endAll();
      residency.advance(this.now);
      this.check(this);
    }
    throw new Error('time stands still');
  }

  private first(model: number): Waiting | undefined {
    return this.left.find((one) => one.model === model && one.arrival <= this.now);
  }

  private nextArrival(): number {
    return Math.min(Infinity, ...this.left.map(({ arrival }) => arrival).filter((arrival) => arrival > this.now));
  }

  private nextEnd(): number {
    const ready = this.run.shapes.flatMap((_, model) => (this.computing(model) ? [this.first(model)!.seconds] : []));
    return this.now + Math.min(Infinity, ...ready);
  }

  /** The model is ready and has a request that it took while it admitted any. */
  private computing(model: number): boolean {
    return this.bench.residency.isReady(model) && !this.bench.idle[model] && this.first(model) !== undefined;
  }

  private compute(seconds: number): void {
    for (const model of this.run.shapes.keys()) if (this.computing(model)) this.first(model)!.seconds -= seconds;
  }

  private arrive(): void {
    const { residency, idle } = this.bench;
    for (const model of this.run.shapes.keys()) {
      if (!this.first(model) || !idle[model]) continue;
      if (residency.admits(model)) {
        idle[model] = false;
        residency.touched(model, this.now, false);
      } else {
        // Held back: a model that drains is idle without these.
        residency.want(model, this.now);
        if (!residency.isReady(model)) idle[model] = false;
      }
    }
  }

  private endAll(): void {
    for (const model of this.run.shapes.keys()) {
      while (this.computing(model) && this.first(model)!.seconds <= 1e-9) {
        this.served.push(...this.left.splice(this.left.indexOf(this.first(model)!), 1));
        const more = this.first(model) !== undefined && this.bench.residency.admits(model);
        if (!more) {
          this.bench.idle[model] = true;
          this.bench.residency.touched(model, this.now, true);
        }
      }
    }
  }
}

/** The run as it goes, with a look at it after each of its events. */
function driven(
  { shapes, capacity, loading, requests: asked }: RandomRun,
  check: (drive: Drive) => void = () => {},
): Drive {
  let time = 0;
  const left = asked.map(({ pause, model, seconds }): Waiting => {
    time += pause;
    return { model: model % shapes.length, arrival: time, seconds: seconds + 0.1 };
  });
  const drive = new Drive({ shapes, capacity, loading }, left, check);
  drive.toEnd();
  return drive;
}

describe('weights on demand, random runs', () => {
  it('hold memory exactly while they are not absent, within the GPUs, the links and the limits', () => {
    fc.assert(
      fc.property(runs, (run) => {
        driven(run, ({ bench }) => {
          const states = bench.states();
          expect(bench.held).toEqual(states.map((state) => state !== 0));
          const onGpu = (device: number, among: number[]) =>
            run.shapes.filter((one, model) => one.devices!.includes(device) && among.includes(states[model]!)).length;
          for (const device of [0, 1]) {
            expect(bench.free(device)).toBeGreaterThanOrEqual(0);
            expect(onGpu(device, [1])).toBeLessThanOrEqual(1);
          }
          const { maxLoaded, maxLoadedPerGpu } = run.loading;
          if (maxLoaded === null) return;
          const counts = maxLoadedPerGpu
            ? [0, 1].map((device) => onGpu(device, [1, 2, 3]))
            : [states.filter(Boolean).length];
          expect(Math.max(...counts)).toBeLessThanOrEqual(maxLoaded);
        });
      }),
      { numRuns: 1500 },
    );
  });

  it('serve everyone that fits, wherever models go at all', () => {
    fc.assert(
      fc.property(runs, (run) => {
        const { bench, left } = driven(run);
        for (const { model } of left) {
          const { bytes, devices } = run.shapes[model]!;
          const fits = devices!.every((device) => run.capacity[device]! >= bytes);
          if (run.loading.unloads === 'never') continue;
          expect(fits, `model ${model} waits for ever`).toBe(false);
          expect(bench.residency.impossible(model)).toBe(true);
        }
      }),
      { numRuns: 1500 },
    );
  });

  it('give the same answers to the same questions', () => {
    fc.assert(
      fc.property(runs, (run) => {
        const [one, other] = [driven(run), driven(run)];
        expect(one.bench.residency.counters).toEqual(other.bench.residency.counters);
        expect(one.served).toEqual(other.served);
      }),
      { numRuns: 300 },
    );
  });
});
