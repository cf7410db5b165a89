// Which waiting requests a prefill step takes: the running ones keep room for a share of what they may still generate, the new one
// for all of it. Law: PrefillAdder in sglang/srt/managers/schedule_policy.py (0.5.9; page size 1, no mixed chunks, no host cache).
import { clipMaxNewTokens } from './config.ts';
import type { RadixMemory } from './memory.ts';
import type { RadixRequest } from './request.ts';

export type Admission = 'continue' | 'noToken' | 'other';

interface AdmissionLimits {
  readonly maxPrefillTokens: number;
  readonly chunkedPrefillSize: number;
}

export class PrefillAdmission {
  readonly admitted: RadixRequest[] = [];
  /** Slots of the step: what the admitted requests compute. */
  tokens = 0;
  /** Slots promised to running and admitted requests beyond what they hold. */
  private promised = 0;
  private inputLeft: number;
  private chunkLeft: number;

  constructor(
    private readonly memory: RadixMemory,
    running: readonly RadixRequest[],
    newTokenRatio: number,
    limits: AdmissionLimits,
  ) {
    this.inputLeft = limits.maxPrefillTokens;
    this.chunkLeft = limits.chunkedPrefillSize;
    for (const { maxNew, output } of running)
      this.promised += Math.min(maxNew - output, clipMaxNewTokens) * newTokenRatio;
  }

  /** The request whose prompt was cut goes on; it is always taken. Returns whether its prompt is cut again. */
  addChunk(request: RadixRequest): boolean {
    const left = Math.min(this.chunkLeft, Math.floor(this.totalLeft));
    const room = left > 0 ? left : this.chunkLeft;
    const rest = request.prompt + request.output - request.committed;
    const cut = rest > room;
    this.take(request, cut ? room : rest, cut ? 0 : Math.min(request.maxNew, clipMaxNewTokens));
    return cut;
  }

  /** A request from the queue, matched before; locked when it is admitted. `cut`: only the first part of its prompt is. */
  add(request: RadixRequest): { result: Admission; cut: boolean } {
    const rest = request.prompt + request.output - request.prefix;
    const total = rest + Math.min(Math.max(request.maxNew - request.output, 0), clipMaxNewTokens);
    if (total >= this.totalLeft) return { result: 'noToken', cut: false };
    if (rest >= this.inputLeft && this.admitted.length > 0) return { result: 'other', cut: false };
    const { tree } = this.memory;
    // Locking the prefix makes it unavailable, so the room is looked at again.
    tree.lock(request.node);
    if (total >= this.totalLeft) {
      tree.unlock(request.node);
      return { result: 'noToken', cut: false };
    }
    const cut = rest > this.chunkLeft;
    if (cut && this.chunkLeft <= 0) {
      tree.unlock(request.node);
      return { result: 'other', cut: false };
    }
    this.take(request, cut ? this.chunkLeft : rest, cut ? 0 : Math.min(request.maxNew, clipMaxNewTokens));
    return { result: this.state(), cut };
  }

  private get totalLeft(): number {
    return this.memory.available - this.promised;
  }

  private take(request: RadixRequest, tokens: number, newTokens: number): void {
    request.extend = tokens;
    this.admitted.push(request);
    this.tokens += tokens;
    this.promised += tokens + newTokens;
    this.inputLeft -= tokens;
    this.chunkLeft -= tokens;
  }

  private state(): Admission {
    if (this.totalLeft <= 0 || this.memory.available - this.tokens <= 0) return 'noToken';
    return this.inputLeft <= 0 || this.chunkLeft <= 0 ? 'other' : 'continue';
  }
}
