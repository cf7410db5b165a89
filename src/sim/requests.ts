// What every serving system with requests of several sequences does about them, whatever its memory: which requests no server of a
// given model length takes, which have begun and ended, and how often they come. It knows no queue and no clock.
import type { RequestListener, SimRequest } from './types.ts';

/** Why a request can never run; undefined when it can. */
export type Refusal = string | undefined;

/** A prompt has to leave room for one token; a longer output ends at the model's length (as in vLLM). */
export function refusal(request: SimRequest, maxModelLen: number): Refusal {
  if (request.promptTokens < 1) return 'the prompt is empty';
  if (request.promptTokens < maxModelLen) return undefined;
  return `${request.promptTokens} prompt tokens leave no room for output in a model length of ${maxModelLen}`;
}

/** Sequences that a request decodes side by side, and answers that it gets: its beams, else its samples. */
export function sequencesOf({ samples = 1, beamWidth = 1 }: Pick<SimRequest, 'samples' | 'beamWidth'>): number {
  return beamWidth > 1 ? beamWidth : samples;
}

/** Tells sequences apart that may not share cached blocks: by adapter and salt; empty where there is neither. */
export function cacheNamespace({ lora, salt }: SimRequest): string {
  return lora === undefined && salt === undefined ? '' : `${lora ?? ''}/${salt ?? ''}`;
}

interface OpenRequest {
  /** Sequences that have not ended. */
  left: number;
  started: boolean;
}

/** Requests in a server: each tells its first token once, and its end with its last sequence. */
export class OpenRequests {
  private readonly open = new Map<number, OpenRequest>();

  constructor(private readonly listener: RequestListener) {}

  get size(): number {
    return this.open.size;
  }

  add(request: number, sequences: number): void {
    this.open.set(request, { left: sequences, started: false });
  }

  /** Sequences of a request that have not ended; 0 for one that is not here. */
  left(request: number): number {
    return this.open.get(request)?.left ?? 0;
  }

  /** One of its sequences has a token. */
  sampled(request: number): void {
    const state = this.open.get(request)!;
    if (state.started) return;
    state.started = true;
    this.listener.firstToken(request);
  }

  /** One of its sequences has ended. */
  ended(request: number): void {
    const state = this.open.get(request)!;
    if (--state.left > 0) return;
    this.open.delete(request);
    this.listener.finished(request);
  }

  /** The request leaves without an answer. */
  reject(request: number, reason: string): void {
    this.open.delete(request);
    this.listener.rejected(request, reason);
  }

  /** For tests: the sequences in the queues are those of the open requests. */
  matches(sequences: Iterable<{ readonly request: number }>): boolean {
    const counts = new Map<number, number>();
    for (const { request } of sequences) counts.set(request, (counts.get(request) ?? 0) + 1);
    return (
      counts.size === this.open.size && [...this.open].every(([request, { left }]) => counts.get(request) === left)
    );
  }
}

/** From time 0 to the last arrival; undefined where all come at once. */
export function requestsPerSecond(requests: readonly SimRequest[]): number | undefined {
  const last = requests.reduce((latest, { arrival }) => Math.max(latest, arrival), 0);
  return last > 0 ? requests.length / last : undefined;
}
