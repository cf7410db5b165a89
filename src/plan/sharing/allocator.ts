// What a framework's allocator makes of models that come and go on one GPU: the same loads, steps and unloads, replayed through PyTorch's
// caching allocator, the same with expandable segments, and one buffer of one's own. One process holds all models, as Aegaeon's or
// a multi-model server's does; engines with a process each give everything back when they end and have nothing to fragment.
import {
  type AllocationHandle,
  type AllocatorKind,
  type AllocatorStatistics,
  allocatorKinds,
  createAllocator,
  type GpuAllocator,
} from '../../sim/cuda-allocator/index.ts';
import { sum } from '../../units.ts';

export interface AllocatorModel {
  id: string;
  /** Its parameters in loading order, one entry an allocation (what an engine fuses is one). */
  tensors: readonly { bytes: number }[];
  /** The KV cache, one allocation a layer. */
  kvTensors: readonly number[];
  /** Workspaces of one step each: all there at the same time, freed when the step ends. */
  steps: readonly (readonly number[])[];
  /** The loader puts each tensor on the GPU once more before it copies it to its place. vLLM's default loader copies from host memory. */
  staged?: boolean;
}

export interface AllocatorEvent {
  kind: 'load' | 'use' | 'unload';
  model: string;
}

export interface AllocatorRequest {
  /** What the process may allocate: memory as CUDA reports it, less contexts. */
  deviceBytes: number;
  models: readonly AllocatorModel[];
  schedule: readonly AllocatorEvent[];
}

interface AllocatorFailure {
  /** Index in the schedule. */
  event: number;
  kind: AllocatorEvent['kind'];
  model: string;
  /** The request that was refused; what the load or the step still wanted in all; what was in nobody's use. */
  bytes: number;
  wantedBytes: number;
  freeBytes: number;
  /** As many bytes as were wanted were free, but not where they could be had. */
  fragmented: boolean;
}

interface AllocatorMoment {
  allocatedBytes: number;
  reservedBytes: number;
  /** Reserved and in nobody's use. */
  cachedBytes: number;
  /** The largest request that would be granted. */
  largestBytes: number;
  /** Free, by the sum of bytes, but not to be had in one piece: device - allocated - largest. */
  scatteredBytes: number;
}

export interface AllocatorView {
  kind: AllocatorKind;
  peakAllocatedBytes: number;
  peakReservedBytes: number;
  /** Reserved and unused as the most was allocated. */
  cachedAtPeakBytes: number;
  /** The most that was scattered after any event. */
  mostScatteredBytes: number;
  end: AllocatorMoment;
  failures: AllocatorFailure[];
  calls: Pick<
    AllocatorStatistics,
    'deviceAllocations' | 'deviceFrees' | 'pagesMapped' | 'pagesUnmapped' | 'retries' | 'movedBytes'
  >;
  /** After each event of the schedule. */
  moments: AllocatorMoment[];
}

export function allocatorView(
  request: AllocatorRequest,
  kinds: readonly AllocatorKind[] = allocatorKinds,
): AllocatorView[] {
  return kinds.map((kind) => replay(kind, request));
}

function replay(kind: AllocatorKind, request: AllocatorRequest): AllocatorView {
  const { deviceBytes, schedule } = request;
  const run = new Replay(createAllocator(kind, { deviceBytes }), request);
  const moments = schedule.map((event, index) => {
    run.play(event, index);
    return run.moment();
  });
  const { failures, cachedAtPeakBytes } = run;
  const now = run.allocator.statistics();
  const { deviceAllocations, deviceFrees, pagesMapped, pagesUnmapped, retries, movedBytes } = now;
  return {
    kind,
    peakAllocatedBytes: now.peakAllocatedBytes,
    peakReservedBytes: now.peakReservedBytes,
    cachedAtPeakBytes,
    mostScatteredBytes: Math.max(0, ...moments.map(({ scatteredBytes }) => scatteredBytes)),
    end: moments.at(-1) ?? run.moment(),
    failures,
    calls: { deviceAllocations, deviceFrees, pagesMapped, pagesUnmapped, retries, movedBytes },
    moments,
  };
}

/** One allocator under the schedule: who is loaded with which handles, and what went wrong. */
class Replay {
  readonly allocator: GpuAllocator;
  readonly failures: AllocatorFailure[] = [];
  cachedAtPeakBytes = 0;
  readonly #request: AllocatorRequest;
  readonly #models: ReadonlyMap<string, AllocatorModel>;
  readonly #loaded = new Map<string, AllocationHandle[]>();
  #mostAllocated = 0;

  constructor(allocator: GpuAllocator, request: AllocatorRequest) {
    this.allocator = allocator;
    this.#request = request;
    this.#models = new Map(request.models.map((model) => [model.id, model]));
  }

  /** A model whose load failed is not there: its steps and its unloading do nothing. */
  play(event: AllocatorEvent, index: number): void {
    const model = this.#models.get(event.model)!;
    const handles = this.#loaded.get(event.model);
    switch (event.kind) {
      case 'load':
        if (!handles) this.#load(model, event, index);
        break;
      case 'use':
        if (handles) for (const step of model.steps) this.#takeAndFree(step, event, index);
        break;
      case 'unload':
        this.#loaded.delete(event.model);
        this.#freeAll(handles ?? []);
    }
  }

  moment(): AllocatorMoment {
    const { allocatedBytes, reservedBytes } = this.allocator.statistics();
    const largestBytes = this.allocator.largestAllocatable();
    const free = this.#request.deviceBytes - allocatedBytes;
    return {
      allocatedBytes,
      reservedBytes,
      cachedBytes: reservedBytes - allocatedBytes,
      largestBytes,
      scatteredBytes: Math.max(0, free - largestBytes),
    };
  }

  /** Parameters, the loader's copies, one step as the profile run takes it, then the KV cache; nothing stays where one of them fails. */
  #load(model: AllocatorModel, event: AllocatorEvent, index: number): void {
    const parameters = model.tensors.map(({ bytes }) => bytes);
    const held = this.#takeAll(parameters, event, index, sum(model.kvTensors));
    if (!held) return;
    const passing = [...(model.staged ? parameters.map((bytes) => [bytes]) : []), ...model.steps.slice(0, 1)];
    const cache = passing.every((sizes) => this.#takeAndFree(sizes, event, index))
      ? this.#takeAll(model.kvTensors, event, index)
      : undefined;
    if (cache) this.#loaded.set(model.id, [...held, ...cache]);
    else this.#freeAll(held);
  }

  #takeAndFree(sizes: readonly number[], event: AllocatorEvent, index: number): boolean {
    const taken = this.#takeAll(sizes, event, index);
    this.#freeAll(taken ?? []);
    return taken !== undefined;
  }

  /** All of them, or none and a failure; `later` bytes will be wanted besides. */
  #takeAll(sizes: readonly number[], event: AllocatorEvent, index: number, later = 0): AllocationHandle[] | undefined {
    const taken: AllocationHandle[] = [];
    for (const [i, bytes] of sizes.entries()) {
      if (bytes <= 0) continue;
      const handle = this.allocator.allocate(bytes);
      if (handle === 'out-of-memory') {
        const wantedBytes = sum(sizes.slice(i)) + later;
        const freeBytes = this.#request.deviceBytes - this.allocator.statistics().allocatedBytes;
        this.failures.push({
          event: index,
          kind: event.kind,
          model: event.model,
          bytes,
          wantedBytes,
          freeBytes,
          fragmented: freeBytes >= wantedBytes,
        });
        this.#freeAll(taken);
        return undefined;
      }
      taken.push(handle);
      this.#notePeak();
    }
    return taken;
  }

  #freeAll(handles: readonly AllocationHandle[]): void {
    for (const handle of handles) this.allocator.free(handle);
  }

  #notePeak(): void {
    const { allocatedBytes, reservedBytes } = this.allocator.statistics();
    if (allocatedBytes <= this.#mostAllocated) return;
    this.#mostAllocated = allocatedBytes;
    this.cachedAtPeakBytes = reservedBytes - allocatedBytes;
  }
}
