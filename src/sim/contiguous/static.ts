// Static batching, as servers worked before iteration-level scheduling (Orca, OSDI 2022, section 2: request-level scheduling): a
// batch is one tensor of rows, it runs until its last member ends, and only then does the next one start. Every row is as long as the longest
// prompt plus the largest max_tokens of the batch; padding and rows whose request has ended are computed like the others.
import { assert } from '../../assert.ts';
import { Deque } from '../deque.ts';
import { refusal, sequencesOf } from '../requests.ts';
import { clearWork, emptyWork, zeroCounters } from '../step-work.ts';
import type { MemoryShares, QueueState, RequestListener, ServingSystem, SimRequest, StepWork } from '../types.ts';
import type { PieceEvents } from './allocator.ts';

interface StaticBatchOptions {
  readonly requests: readonly SimRequest[];
  readonly poolTokens: number;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  readonly listener: RequestListener;
}

interface Member {
  readonly request: number;
  /** Rows of the tensor: parallel samples and beams take one each. */
  readonly rows: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

interface Batch {
  readonly members: readonly Member[];
  readonly rows: number;
  readonly longestPrompt: number;
  readonly rowTokens: number;
  /** Forward passes until the last member ends, and those begun. */
  readonly steps: number;
  step: number;
}

/**
 * Laws, asserted: rows x row length never exceeds the pool; the shares are non-negative and sum to the pool. A member's answer is
 * complete when its batch ends, as it is returned only then. A row's padding, and all of it once its request has ended, is internal.
 */
export class StaticBatchSystem implements ServingSystem {
  readonly poolTokens: number;
  readonly usableBlocks: number;
  readonly blockSize = 1;
  readonly work: StepWork = emptyWork();
  readonly counters = zeroCounters();
  /** A batch is one piece from slot 0; every member is told with its own rows. */
  pieceEvents: PieceEvents | undefined;
  readonly #options: StaticBatchOptions;
  readonly #waiting = new Deque<number>();
  #batch: Batch | undefined;

  constructor(options: StaticBatchOptions) {
    this.#options = options;
    this.poolTokens = options.poolTokens;
    this.usableBlocks = options.poolTokens;
  }

  get unfinished(): number {
    return this.#waiting.length + (this.#batch?.members.length ?? 0);
  }

  add(index: number): void {
    const request = this.#options.requests[index]!;
    const reason = refusal(request, this.#options.maxModelLen) ?? this.#tooLarge(request);
    if (reason === undefined) this.#waiting.push(index);
    else this.#options.listener.rejected(index, reason);
  }

  schedule(): boolean {
    clearWork(this.work);
    if (this.#batch === undefined) {
      this.#batch = this.#form();
      this.#tell(this.pieceEvents?.taken);
    }
    const batch = this.#batch;
    if (batch === undefined) return false;
    const { rows, longestPrompt, step } = batch;
    const prefill = step === 0;
    batch.step++;
    this.work.tokens = rows * (prefill ? longestPrompt : 1);
    this.work.sequences = rows;
    this.work.prefillTokens = prefill ? rows * longestPrompt : 0;
    this.work.prefillSequences = prefill ? rows : 0;
    this.work.prefillAttention = prefill ? (rows * longestPrompt * longestPrompt) / 2 : 0;
    this.work.decodeContext = prefill ? 0 : rows * (longestPrompt + step);
    this.work.rows = rows;
    return true;
  }

  complete(): boolean {
    const batch = this.#batch;
    if (batch === undefined) return false;
    const { listener } = this.#options;
    if (batch.step === 1) for (const { request } of batch.members) listener.firstToken(request);
    if (batch.step < batch.steps) return true;
    this.#tell(this.pieceEvents?.freed);
    this.#batch = undefined;
    for (const { request } of batch.members) listener.finished(request);
    return true;
  }

  memory(into: MemoryShares): void {
    const batch = this.#batch;
    const held = batch ? batch.rows * batch.rowTokens : 0;
    const left = this.poolTokens - held;
    into.tokenStates = 0;
    into.reserved = 0;
    for (const { rows, promptTokens, outputTokens } of batch?.members ?? []) {
      if (batch!.step > outputTokens) continue;
      const generated = Math.max(0, batch!.step - 1);
      into.tokenStates += rows * (promptTokens + generated);
      into.reserved += rows * (outputTokens - generated);
    }
    into.internal = held - into.tokenStates - into.reserved;
    into.external = this.#waiting.length > 0 ? left : 0;
    into.free = left - into.external;
    assert(left >= 0 && into.internal >= 0, 'shares are not negative');
  }

  queues(into: QueueState): void {
    const batch = this.#batch;
    into.running = batch?.members.length ?? 0;
    into.waiting = this.#waiting.length;
    into.swapped = 0;
    into.usedBlocks = batch ? batch.rows * batch.rowTokens : 0;
    into.cachedBlocks = 0;
  }

  #tell(what: PieceEvents['taken'] | undefined): void {
    if (what === undefined || this.#batch === undefined) return;
    const { members, rowTokens } = this.#batch;
    let row = 0;
    for (const { request, rows } of members) {
      what(request, row * rowTokens, rows * rowTokens);
      row += rows;
    }
  }

  #tooLarge(request: SimRequest): string | undefined {
    const { poolTokens, maxNumSeqs } = this.#options;
    const rows = sequencesOf(request);
    if (rows > maxNumSeqs) return `${rows} sequences are more than max_num_seqs ${maxNumSeqs}`;
    const needed = rows * (request.promptTokens + this.#outputLimit(request));
    return needed > poolTokens ? `${needed} slots are more than the pool of ${poolTokens}` : undefined;
  }

  /** The longest output that the server has to expect. */
  #outputLimit(request: SimRequest): number {
    return Math.min(request.maxTokens, this.#options.maxModelLen - request.promptTokens);
  }

  /** As many waiting requests, in order, as fit together: taking one more may lengthen every row. */
  #form(): Batch | undefined {
    const { requests, poolTokens, maxNumSeqs } = this.#options;
    const members: Member[] = [];
    let rows = 0;
    let longestPrompt = 0;
    let longestOutput = 0;
    while (this.#waiting.length > 0) {
      const index = this.#waiting.first()!;
      const request = requests[index]!;
      const more = rows + sequencesOf(request);
      const prompt = Math.max(longestPrompt, request.promptTokens);
      const output = Math.max(longestOutput, this.#outputLimit(request));
      if (more > maxNumSeqs || more * (prompt + output) > poolTokens) break;
      this.#waiting.shift();
      const outputTokens = Math.max(1, Math.min(request.outputTokens, this.#outputLimit(request)));
      members.push({ request: index, rows: more - rows, promptTokens: request.promptTokens, outputTokens });
      rows = more;
      longestPrompt = prompt;
      longestOutput = output;
    }
    if (members.length === 0) return undefined;
    const steps = Math.max(...members.map((member) => member.outputTokens));
    return { members, rows, longestPrompt, rowTokens: longestPrompt + longestOutput, steps, step: 0 };
  }
}
