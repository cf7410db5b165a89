// A server with iteration-level scheduling over contiguous pieces of KV memory, as Orca (OSDI 2022) schedules and as the PagedAttention
// paper (SOSP 2023, sections 3.1 and 6.1) describes its baselines: first come, first served, a request is admitted when a piece for
// everything it reserves is found, and then runs to its end. Nothing is ever preempted. It does not know time or workload shapes.
import { assert } from '../../assert.ts';
import { Deque } from '../deque.ts';
import { type Refusal, refusal, sequencesOf } from '../requests.ts';
import { addToWork, clearWork, emptyWork, zeroCounters } from '../step-work.ts';
import type { MemoryShares, QueueState, RequestListener, ServingSystem, SimRequest, StepWork } from '../types.ts';
import type { ContiguousAllocator, PieceEvents } from './allocator.ts';
import type { Reservation } from './reservation.ts';

interface ContiguousOptions {
  readonly requests: readonly SimRequest[];
  readonly allocator: ContiguousAllocator;
  readonly reservation: Reservation;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  readonly listener: RequestListener;
}

/** A request that holds its pieces: one per sequence (parallel samples and beams share nothing here). */
interface Running {
  readonly request: number;
  readonly sequences: number;
  readonly pieces: readonly number[];
  readonly promptTokens: number;
  /** Tokens of one sequence in memory when it ends, and slots reserved for one. */
  readonly finalTokens: number;
  readonly reservedSlots: number;
  /** Tokens of one sequence whose KV is in memory, this step's included. */
  computed: number;
}

/**
 * Laws, asserted: (1) computed <= final <= reserved <= piece for every sequence; (2) the slots the allocator holds are the pieces
 * of the running requests; (3) the shares are non-negative and sum to the pool; (4) the head of the queue always fits an empty pool.
 */
export class ContiguousSystem implements ServingSystem {
  readonly poolTokens: number;
  readonly usableBlocks: number;
  readonly blockSize = 1;
  readonly work: StepWork = emptyWork();
  readonly counters = zeroCounters();
  pieceEvents: PieceEvents | undefined;
  readonly #options: ContiguousOptions;
  readonly #waiting = new Deque<number>();
  readonly #running: Running[] = [];
  #sequences = 0;
  /** The head of the queue found no piece, and nothing has been freed since. */
  #blocked = false;
  /** Quiet steps counted that the running sequences have not been given. */
  #ahead = 0;
  /** Sums over the running sequences, in slots. */
  #computed = 0;
  #final = 0;
  #reserved = 0;

  constructor(options: ContiguousOptions) {
    this.#options = options;
    this.poolTokens = options.allocator.poolSlots;
    this.usableBlocks = this.poolTokens;
  }

  get unfinished(): number {
    return this.#running.length + this.#waiting.length;
  }

  /** Slots inside pieces beyond what was reserved: the allocator's rounding. The paper counts them as external and others. */
  get roundingSlots(): number {
    return this.#options.allocator.heldSlots - this.#reserved;
  }

  add(index: number): void {
    const reason = this.#refuse(this.#options.requests[index]!);
    if (reason === undefined) this.#waiting.push(index);
    else this.#options.listener.rejected(index, reason);
  }

  schedule(): boolean {
    this.#settle();
    clearWork(this.work);
    for (const running of this.#running) this.#decode(running);
    while (this.#waiting.length > 0 && !this.#blocked) this.#blocked = !this.#admit(this.#waiting.first()!);
    assert(this.#running.length > 0 || this.unfinished === 0, 'the head of the queue fits an empty pool');
    return this.#running.length > 0;
  }

  complete(): boolean {
    const { listener } = this.#options;
    const ran = this.#running.length > 0;
    let staying = 0;
    for (const running of this.#running) {
      if (running.computed === running.promptTokens) listener.firstToken(running.request);
      if (running.computed + 1 < running.finalTokens) this.#running[staying++] = running;
      else this.#release(running);
    }
    this.#running.length = staying;
    return ran;
  }

  /** Steps ahead in which every running sequence decodes, nobody ends, and the head of the queue stays refused. */
  quietSteps(): number {
    this.#settle();
    if (this.#running.length === 0 || (this.#waiting.length > 0 && !this.#blocked)) return 0;
    let steps = Number.MAX_SAFE_INTEGER;
    for (const { computed, finalTokens } of this.#running) steps = Math.min(steps, finalTokens - computed - 2);
    clearWork(this.work);
    this.work.tokens = this.#sequences;
    this.work.sequences = this.#sequences;
    this.work.rows = this.#sequences;
    return Math.max(0, steps);
  }

  skipStep(): void {
    this.#ahead++;
    this.#computed += this.#sequences;
    this.work.decodeContext = this.#computed;
  }

  memory(into: MemoryShares): void {
    const left = this.poolTokens - this.#reserved;
    const waits = this.#waiting.length > 0;
    into.tokenStates = this.#computed;
    into.reserved = this.#final - this.#computed;
    into.internal = this.#reserved - this.#final;
    into.external = waits ? left : 0;
    into.free = waits ? 0 : left;
    assert(into.reserved >= 0 && into.internal >= 0 && this.roundingSlots >= 0 && left >= 0, 'shares are not negative');
  }

  queues(into: QueueState): void {
    into.running = this.#running.length;
    into.waiting = this.#waiting.length;
    into.swapped = 0;
    into.usedBlocks = this.#options.allocator.heldSlots;
    into.cachedBlocks = 0;
  }

  #refuse(request: SimRequest): Refusal {
    const { allocator, reservation, maxModelLen, maxNumSeqs } = this.#options;
    const tooLong = refusal(request, maxModelLen);
    if (tooLong !== undefined) return tooLong;
    const sequences = sequencesOf(request);
    if (sequences > maxNumSeqs) return `${sequences} sequences are more than max_num_seqs ${maxNumSeqs}`;
    const slots = reservation(request, maxModelLen);
    if (allocator.capacity(slots) >= sequences) return undefined;
    return `${sequences > 1 ? `${sequences} x ` : ''}${slots} contiguous slots are more than an empty pool of ${this.poolTokens} gives`;
  }

  /** Takes the pieces of every sequence, or none. */
  #admit(index: number): boolean {
    const { allocator, requests, reservation, maxModelLen, maxNumSeqs } = this.#options;
    const request = requests[index]!;
    const sequences = sequencesOf(request);
    if (this.#sequences + sequences > maxNumSeqs) return false;
    const reservedSlots = reservation(request, maxModelLen);
    const pieces: number[] = [];
    while (pieces.length < sequences) {
      const piece = allocator.allocate(reservedSlots);
      if (piece === undefined) {
        for (const taken of pieces.reverse()) allocator.free(taken);
        return false;
      }
      pieces.push(piece);
    }
    const { promptTokens } = request;
    const finalTokens = Math.min(promptTokens + Math.max(1, request.outputTokens), maxModelLen);
    assert(finalTokens <= reservedSlots, `request ${request.id} outgrows its ${reservedSlots} slots`);
    this.#start({
      request: index,
      sequences,
      pieces,
      promptTokens,
      finalTokens,
      reservedSlots,
      computed: promptTokens,
    });
    return true;
  }

  #start(running: Running): void {
    const { sequences, promptTokens } = running;
    this.#waiting.shift();
    this.#running.push(running);
    if (this.pieceEvents) this.#tell(this.pieceEvents.taken, running);
    this.#sequences += sequences;
    this.#computed += promptTokens * sequences;
    this.#final += running.finalTokens * sequences;
    this.#reserved += running.reservedSlots * sequences;
    for (let k = 0; k < sequences; k++) addToWork(this.work, 0, promptTokens, true);
  }

  #decode(running: Running): void {
    const { sequences } = running;
    this.#computed += sequences;
    for (let k = 0; k < sequences; k++) addToWork(this.work, running.computed, 1, true);
    running.computed++;
  }

  #settle(): void {
    if (this.#ahead === 0) return;
    for (const running of this.#running) running.computed += this.#ahead;
    this.#ahead = 0;
  }

  #release(running: Running): void {
    const { sequences } = running;
    for (const piece of running.pieces) this.#options.allocator.free(piece);
    if (this.pieceEvents) this.#tell(this.pieceEvents.freed, running);
    this.#sequences -= sequences;
    this.#computed -= running.computed * sequences;
    this.#final -= running.finalTokens * sequences;
    this.#reserved -= running.reservedSlots * sequences;
    this.#blocked = false;
    this.#options.listener.finished(running.request);
  }

  #tell(what: PieceEvents['taken'], { request, pieces, reservedSlots }: Running): void {
    const slots = this.#options.allocator.pieceSlots(reservedSlots) ?? reservedSlots;
    for (const start of pieces) what(request, start, slots);
  }
}
