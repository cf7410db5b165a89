// Models whose weights come and go, on GPUs whose memory is counted: what the residency asks its host for, without engines. Rates and
// sizes are round, so that a test can say when a load is done: a weight byte takes a second from the host, two from disk.
import { expect } from 'vitest';
import { Residency, type ResidencyHost } from '../../src/sim/sharing/residency.ts';
import type { SharedModel } from '../../src/sim/sharing/types.ts';
import type { LoadingPolicy, WeightPlace } from '../../src/spec/sharing.ts';

export interface ModelShape {
  bytes: number;
  devices?: number[];
  place?: WeightPlace;
  priority?: number;
  preloadAt?: number[];
}

export const plainLoading: LoadingPolicy = {
  id: 'plain',
  name: 'plain',
  summary: 'loads what is wanted and lets go who is idle longest',
  keepAliveSeconds: null,
  maxLoaded: null,
  maxLoadedPerGpu: false,
  unloads: 'idle-lru',
  drains: false,
  quantumSeconds: null,
  startSeconds: { disk: 0, host: 0 },
  unloadSeconds: 0,
  savesWeights: false,
  linkShare: 1,
  loaderRate: null,
  diskRate: 0.5,
  hostMemoryBytes: null,
  prefetch: 0,
  keepsContext: false,
  sources: ['a test'],
};

export class Bench implements ResidencyHost {
  readonly residency: Residency;
  readonly idle: boolean[];
  readonly kv: number[];
  readonly held: boolean[];
  private now = 0;
  private readonly came: [time: number, model: number][] = [];
  private readonly models: readonly SharedModel[];
  private readonly shapes: readonly ModelShape[];
  private readonly capacity: readonly number[];

  constructor({ shapes, capacity, loading }: { shapes: ModelShape[]; capacity: number[]; loading?: LoadingPolicy }) {
    this.shapes = shapes;
    this.capacity = capacity;
    this.idle = shapes.map(() => true);
    this.kv = shapes.map(() => 0);
    this.held = shapes.map(() => false);
    this.models = shapes.map(modelOf);
    this.residency = new Residency(this.models, loading, this);
    this.residency.start();
  }

  free(device: number): number {
    const held = this.shapes.filter((shape, model) => this.held[model] && devicesOf(shape).includes(device));
    return this.capacity[device]! - held.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  take(model: number): boolean {
    expect(this.held[model]).toBe(false);
    const shape = this.shapes[model]!;
    this.held[model] = devicesOf(shape).every((device) => this.free(device) >= shape.bytes);
    return this.held[model]!;
  }

  giveBack(model: number): void {
    expect(this.held[model]).toBe(true);
    this.held[model] = false;
  }

  isIdle(model: number): boolean {
    return this.idle[model]!;
  }

  kvBytes(model: number): number {
    return this.kv[model]!;
  }

  weightsBytes(model: number): number {
    return this.shapes[model]!.bytes;
  }

  /** A request comes: it is served where the model is ready, else the model is wanted. */
  request(model: number, now: number): void {
    this.pass(now);
    const served = this.residency.admits(model);
    this.idle[model] = false;
    if (served) this.residency.touched(model, now, false);
    else this.residency.want(model, now);
  }

  /** The last request of a model ends. */
  end(model: number, now: number): void {
    this.pass(now);
    this.idle[model] = true;
    this.residency.touched(model, now, true);
  }

  /** Lets time pass to the end of `end`, event by event; which models became ready since the last call, and when. */
  until(end: number): [time: number, model: number][] {
    this.pass(end);
    this.step(end, (time) => time <= end);
    return this.came.splice(0);
  }

  /** All that happens before `now`; what happens at that very moment comes after what the caller does then. */
  private pass(now: number): void {
    this.step(now, (time) => time < now);
  }

  private step(end: number, isDue: (time: number) => boolean): void {
    for (let steps = 0; isDue(this.residency.nextTime()); steps++) {
      expect(steps).toBeLessThan(10_000);
      this.now = Math.max(this.now, Math.min(end, this.residency.nextTime()));
      for (const model of this.residency.advance(this.now)) this.came.push([this.now, model]);
    }
  }

  states(): number[] {
    return this.shapes.map((_, model) => this.residency.state(model));
  }
}

function devicesOf({ devices = [0] }: ModelShape): readonly number[] {
  return devices;
}

/** The run itself is not looked at. */
function modelOf(shape: ModelShape, model: number): SharedModel {
  const { bytes, place = 'disk', priority = 0, preloadAt = [] } = shape;
  const weights = { place, hostRate: devicesOf(shape).length, diskRate: 0.5, preloadAt };
  const run = {} as SharedModel['run'];
  const objective = { ttftSeconds: null, tpotSeconds: null, scale: 1 };
  const kv = { sliceBytes: 0, blockBytes: 1, tensors: 1, minBytes: 0, maxBytes: 1e9 };
  const devices = devicesOf(shape);
  return {
    id: `model-${model}`,
    run,
    devices,
    weightsBytes: bytes,
    otherBytes: 0,
    contextBytes: 0,
    prefetchBytes: 1e9,
    ...kv,
    priority,
    weights,
    objective,
  };
}
