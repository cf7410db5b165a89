// n parallel samples of a prompt as vLLM's V1 serves them: n requests that arrive together and share what the prefix cache finds
// (v1/engine/parallel_sampling.py, ParentRequest). A request begins with the first token of any of them and ends with the last.
import type { MemoryShares, QueueState, RequestListener, ServingSystem, SimRequest, Workload } from './types.ts';

/** Undefined where no request has several samples: then there is nothing to fan out. */
export function fanOut(
  workload: Workload,
  make: (workload: Workload, listener: RequestListener) => ServingSystem,
  listener: RequestListener,
): FannedOut | undefined {
  const { requests } = workload;
  if (!requests.some(({ samples }) => (samples ?? 1) > 1)) return undefined;
  /** First child of each request, and the request of each child. */
  const first = new Int32Array(requests.length + 1);
  requests.forEach(({ samples }, i) => {
    first[i + 1] = first[i]! + Math.max(1, samples ?? 1);
  });
  const parent = new Int32Array(first[requests.length]!);
  const children: SimRequest[] = [];
  requests.forEach((request, i) => {
    for (let child = first[i]!; child < first[i + 1]!; child++) {
      parent[child] = i;
      children.push(childOf(request, child - first[i]!));
    }
  });
  const left = new Map<number, number>();
  const begun = new Uint8Array(requests.length);
  const refused = new Uint8Array(requests.length);
  const system = make({ requests: children }, listenerOf({ listener, parent, left, begun, refused }));
  return new FannedOut(system, first, left);
}

/** Further samples generate something else than what a workload states. */
function childOf(request: SimRequest, sample: number): SimRequest {
  const { samples: _, output, ...one } = request;
  if (sample === 0) return { ...one, ...(output ? { output } : {}) };
  return { ...one, id: `${request.id}_${sample}`, outputBase: request.outputBase + sample * request.maxTokens };
}

interface Family {
  listener: RequestListener;
  parent: Int32Array;
  /** Children of each request in the server that have not ended. */
  left: Map<number, number>;
  begun: Uint8Array;
  refused: Uint8Array;
}

function listenerOf({ listener, parent, left, begun, refused }: Family): RequestListener {
  const ended = (request: number): boolean => {
    const rest = left.get(request)! - 1;
    if (rest > 0) left.set(request, rest);
    else left.delete(request);
    return rest === 0;
  };
  return {
    firstToken(child) {
      const request = parent[child]!;
      if (begun[request] === 1) return;
      begun[request] = 1;
      listener.firstToken(request);
    },
    finished(child) {
      const request = parent[child]!;
      if (ended(request) && refused[request] === 0) listener.finished(request);
    },
    rejected(child, reason) {
      const request = parent[child]!;
      if (refused[request] === 0) {
        refused[request] = 1;
        listener.rejected(request, reason);
      }
      ended(request);
    },
    preempted: (child, computedTokens, kind) => listener.preempted?.(parent[child]!, computedTokens, kind),
  };
}

export class FannedOut implements ServingSystem {
  constructor(
    readonly inner: ServingSystem,
    private readonly first: Int32Array,
    private readonly left: Map<number, number>,
  ) {}

  get poolTokens(): number {
    return this.inner.poolTokens;
  }

  get usableBlocks(): number {
    return this.inner.usableBlocks;
  }

  get blockSize(): number {
    return this.inner.blockSize;
  }

  get work(): ServingSystem['work'] {
    return this.inner.work;
  }

  /** Whole requests: a closed loop counts those. */
  get unfinished(): number {
    return this.left.size;
  }

  get mayGrow(): boolean {
    return this.inner.mayGrow === true;
  }

  giveUp(): boolean {
    return this.inner.giveUp?.() === true;
  }

  get busy(): boolean {
    return this.inner.busy === true || this.inner.unfinished > 0;
  }

  get counters(): ServingSystem['counters'] {
    return this.inner.counters;
  }

  get stepsAhead(): number {
    return this.inner.stepsAhead ?? 1;
  }

  add(request: number): void {
    const from = this.first[request]!;
    const to = this.first[request + 1]!;
    this.left.set(request, to - from);
    for (let child = from; child < to; child++) this.inner.add(child);
  }

  schedule(): boolean {
    return this.inner.schedule();
  }

  complete(): boolean {
    return this.inner.complete();
  }

  quietSteps(): number {
    return this.inner.quietSteps?.() ?? 0;
  }

  skipStep(): void {
    this.inner.skipStep?.();
  }

  memory(into: MemoryShares): void {
    this.inner.memory(into);
  }

  queues(into: QueueState): void {
    this.inner.queues(into);
  }
}
