// Hits that end inside a block, in one group: the request gets a copy of that block, because it will write behind the shared prefix.
// Source and copy are both held until the step's copies are made. Law: _partial_hit_reqs, _apply_cow and _pending_cow_copies in
// vllm/v1/core/single_type_kv_cache_manager.py; the held blocks are let go at the end of Scheduler.schedule. vLLM 0.26 and later.
import type { MultiKeyPool } from '../multi-key-pool.ts';
import type { BlockTable, Sequence } from '../sequence.ts';

interface PartialHit {
  index: number;
  block: number;
}

export class PartialHits {
  private readonly pending = new Map<Sequence, PartialHit>();

  constructor(
    readonly pool: MultiKeyPool,
    /** Copies of this step: source, copy, source, copy, ... of all groups. */
    private readonly copies: number[],
  ) {}

  has(sequence: Sequence): boolean {
    return this.pending.has(sequence);
  }

  /** The block at `index` has to be copied before the request writes on. */
  add(sequence: Sequence, index: number, block: number): void {
    this.pending.set(sequence, { index, block });
  }

  drop(sequence: Sequence): void {
    this.pending.delete(sequence);
  }

  /** The request goes on in a copy of the shared block. */
  replace(sequence: Sequence, table: BlockTable): void {
    const hit = this.pending.get(sequence);
    if (!hit) return;
    const copy = this.pool.take();
    table.ids[hit.index] = copy;
    this.copies.push(hit.block, copy);
    this.pool.holdAgain(copy);
    this.pending.delete(sequence);
  }

  /** The request goes on in its own block; the copy keeps what was cached in it. Returns the copy. */
  setAside(sequence: Sequence): number {
    const hit = this.pending.get(sequence) as PartialHit;
    const copy = this.pool.take();
    this.pool.moveKeys(hit.block, copy);
    this.copies.push(hit.block, copy);
    this.pool.holdAgain(hit.block);
    this.pending.delete(sequence);
    return copy;
  }
}
