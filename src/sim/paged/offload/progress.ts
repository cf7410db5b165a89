// What the connector knows of one request: the keys of its offloaded blocks and how far they have been offered to the host.
import type { Sequence } from '../sequence.ts';

export class OffloadProgress {
  /** Key of offloaded block i, as far as the request's tokens fill blocks. */
  readonly keys: number[] = [];
  /** The next block to offer. */
  nextStored = 0;
  /** Keys whose stores the end of the request completes (releases that do not report each store). */
  readonly stored: number[] = [];
  everStored = false;
  /** Its place among the users of the host, given by the eviction policy; 0: none yet. */
  rank = 0;
  /** Keys stored anew, those found in the host, those that were missing when offered (releases in which a use is a request's). */
  readonly inserted = new Set<number>();
  readonly reused = new Set<number>();
  readonly missed = new Set<number>();
  /** Transfers decided and not done, and whether the load is among them. */
  transfers = 0;
  loading = false;
}

/** Stores or the load of one request, decided in one call. */
export interface TransferJob {
  readonly sequence: Sequence;
  readonly progress: OffloadProgress;
  readonly keys: readonly number[];
  /** GPU blocks copied. */
  readonly gpuBlocks: number;
}
