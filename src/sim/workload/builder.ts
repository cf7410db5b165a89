// Puts requests together, one after the other, from what a trace or a generator says about them: gives them their token ids
// (token-space.ts) and, at the end, their order of arrival. It knows neither files nor distributions.
import { assert } from '../../assert.ts';
import { inputError } from '../../diagnostics.ts';
import { thousands } from '../../numbers.ts';
import type { SimRequest, TokenRuns } from '../types.ts';
import {
  generatedEnd,
  generatedFrom,
  generatedStride,
  longGeneratedEnd,
  longGeneratedFrom,
  maxTokensOfRow,
  privateEnd,
  privateFrom,
} from './token-space.ts';

type MutableRequest = { -readonly [Key in keyof SimRequest]: SimRequest[Key] };

/** What is particular about single requests; workloads without it hold leaner objects. */
interface RequestExtras {
  priority?: number;
  salt?: string;
  lora?: number;
  samples?: number;
  beamWidth?: number;
  /** Index of the previous turn, as add() returned it. */
  after?: number;
  thinkSeconds?: number;
}

export interface NewRequest extends RequestExtras {
  /** Absent: r and its index. */
  id?: string;
  arrival: number;
  /** Absent: a run of `promptTokens` that belongs to this request alone. */
  prompt?: TokenRuns;
  promptTokens: number;
  outputTokens: number;
  /** Absent: outputTokens. */
  maxTokens?: number;
  /** First id of the generated tokens; absent: the request's own stride of ids. */
  outputBase?: number;
}

interface Assembled {
  requests: SimRequest[];
  /** Requests that stood before an earlier one. */
  moved: number;
  /** Position in the order of adding, where that is not the order of arrival. */
  fileOrder?: number[];
}

export class WorkloadBuilder {
  readonly requests: MutableRequest[] = [];
  #nextPrivate = privateFrom;
  #nextLongOutput = longGeneratedFrom;

  /** With extras every request has all fields, without them none has: all objects of a workload have one shape. */
  constructor(
    readonly withExtras: boolean,
    readonly defaults: Pick<RequestExtras, 'samples' | 'beamWidth'> = {},
  ) {}

  get size(): number {
    return this.requests.length;
  }

  /** Index of the new request. */
  add(from: NewRequest): number {
    const index = this.requests.length;
    const { promptTokens, outputTokens, maxTokens = outputTokens } = from;
    if (promptTokens > maxTokensOfRow || outputTokens > maxTokensOfRow)
      throw tooLong(index, promptTokens, outputTokens);
    const samples = from.samples ?? this.defaults.samples;
    const beamWidth = from.beamWidth ?? this.defaults.beamWidth;
    const outputBase = from.outputBase ?? this.#outputBase(index, maxTokens * Math.max(samples ?? 1, beamWidth ?? 1));
    const id = from.id ?? `r${index}`;
    const prompt = from.prompt ?? this.privateRun(promptTokens);
    this.requests.push(
      this.withExtras
        ? {
            id,
            arrival: from.arrival,
            prompt,
            promptTokens,
            outputTokens,
            maxTokens,
            outputBase,
            priority: from.priority,
            salt: from.salt,
            lora: from.lora,
            samples,
            beamWidth,
            after: from.after,
            thinkSeconds: from.thinkSeconds,
          }
        : { id, arrival: from.arrival, prompt, promptTokens, outputTokens, maxTokens, outputBase },
    );
    return index;
  }

  /** A run of tokens that nothing else has. */
  privateRun(tokens: number): [from: number, to: number] {
    const from = this.#nextPrivate;
    this.#nextPrivate += tokens;
    if (this.#nextPrivate > privateEnd) throw tooManyTokens();
    return [from, this.#nextPrivate];
  }

  /**
   * Ids for the answer of a turn right behind its private prompt, so that a whole conversation is one run of tokens. None where
   * several samples are generated: each of them needs ids.
   */
  answerRun(outputTokens: number): number | undefined {
    const { samples, beamWidth } = this.defaults;
    return samples === undefined && beamWidth === undefined ? this.privateRun(outputTokens)[0] : undefined;
  }

  /** The prompt of the turn after `previous`: what it was asked, what it answered, then the new tokens. */
  continued(previous: number, newTokens: TokenRuns): number[] {
    const { prompt, outputBase, outputTokens } = this.requests[previous]!;
    const runs = [...prompt];
    appendRun(runs, outputBase, outputBase + outputTokens);
    for (let at = 0; at < newTokens.length; at += 2) appendRun(runs, newTokens[at]!, newTokens[at + 1]!);
    return runs;
  }

  /** Orders by arrival; equal times keep the order of adding. Times become relative to the first with `fromZero`. */
  finish({ fromZero }: { fromZero: boolean }): Assembled {
    const { requests } = this;
    if (fromZero) shiftToZero(requests);
    let moved = 0;
    let latest = Number.NEGATIVE_INFINITY;
    for (const { arrival } of requests) {
      if (arrival < latest) moved++;
      else latest = arrival;
    }
    if (moved === 0) return { requests, moved };
    const order = requests
      .map((_, index) => index)
      .sort((a, b) => requests[a]!.arrival - requests[b]!.arrival || a - b);
    return { requests: reordered(requests, order), moved, fileOrder: order };
  }

  #outputBase(index: number, tokens: number): number {
    const base = generatedFrom + index * generatedStride;
    if (tokens <= generatedStride) {
      if (base + generatedStride > generatedEnd) throw tooManyTokens();
      return base;
    }
    const long = this.#nextLongOutput;
    this.#nextLongOutput += tokens;
    if (this.#nextLongOutput > longGeneratedEnd) throw tooManyTokens();
    return long;
  }
}

/** Appends a run, joined with the last one where it continues it. */
export function appendRun(runs: number[], from: number, to: number): void {
  if (to <= from) return;
  const last = runs.length - 1;
  if (last > 0 && runs[last] === from) runs[last] = to;
  else runs.push(from, to);
}

export function tokensIn(runs: TokenRuns): number {
  let tokens = 0;
  for (let at = 0; at < runs.length; at += 2) tokens += runs[at + 1]! - runs[at]!;
  return tokens;
}

function shiftToZero(requests: MutableRequest[]): void {
  let first = Number.POSITIVE_INFINITY;
  for (const { arrival } of requests) if (arrival < first) first = arrival;
  // Nanoseconds: what a subtraction of large times leaves below them is rounding.
  if (first !== 0) for (const request of requests) request.arrival = Math.round((request.arrival - first) * 1e9) / 1e9;
}

function reordered(requests: MutableRequest[], order: readonly number[]): MutableRequest[] {
  const placeOf = new Array<number>(order.length);
  order.forEach((from, to) => {
    placeOf[from] = to;
  });
  return order.map((from) => {
    const request = requests[from]!;
    if (request.after !== undefined) {
      const after = placeOf[request.after];
      assert(after !== undefined, 'a turn follows one that is not there');
      request.after = after;
    }
    return request;
  });
}

/** A trace's rows are checked as they are read; this is what lengths that are drawn, or conversations that grow, can come to. */
function tooLong(index: number, promptTokens: number, outputTokens: number): Error {
  const lengths = `${thousands(promptTokens)} prompt and ${thousands(outputTokens)} output tokens`;
  return inputError('VRAM618', `request ${thousands(index + 1)} has ${lengths}, above ${thousands(maxTokensOfRow)}`, {
    hint: 'limit the lengths, e.g. input=lognormal(500,1,8000), or a conversation with maxContext',
  });
}

function tooManyTokens(): Error {
  return inputError('VRAM618', 'the workload holds more tokens than can be numbered', {
    hint: 'take fewer rows with --limit',
  });
}
