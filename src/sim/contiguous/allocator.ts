// One interface for the allocators that give every sequence a single contiguous piece of token slots: buddy, fixed slots, best-fit.
// They know sizes and addresses only; what a request reserves, and who waits, is the business of reservation.ts and system.ts.

export interface ContiguousAllocator {
  /** Token slots of the pool, those included that no piece can ever cover. */
  readonly poolSlots: number;
  /** Slots inside pieces that are handed out, rounding included. */
  readonly heldSlots: number;
  /** Slots of the piece that a demand would get; undefined when even the empty pool has no such piece. */
  pieceSlots(slots: number): number | undefined;
  /** How many demands of this size an empty pool holds. */
  capacity(slots: number): number;
  /** Hands out a piece of at least so many slots: its first slot, or undefined with nothing changed. */
  allocate(slots: number): number | undefined;
  /** Takes back the piece that starts at this slot. */
  free(start: number): void;
  /** Slots of the largest piece that could be handed out now: what "no piece is big enough" is measured by. */
  largestFree(): number;
}

/** Who takes and gives back which slots, for those who want to see each. */
export interface PieceEvents {
  taken(request: number, start: number, slots: number): void;
  freed(request: number, start: number, slots: number): void;
}
