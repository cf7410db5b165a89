// The numbered laws of block-pool.ts and system.ts over the whole state, block by block: slow, for tests and for a run with checks
// on. A broken law is a fault of the program.
import { assert } from '../../assert.ts';
import type { BlockPool } from './block-pool.ts';
import type { Sequence } from './sequence.ts';
import type { V0System } from './system.ts';

export function checkV0(system: V0System): void {
  const { scheduler, blocks } = system;
  const onGpu: Sequence[] = [];
  const onCpu: Sequence[] = [];
  for (const group of scheduler.running) {
    assert(!group.swapped, 'V2: a running group lies in the CPU pool');
    onGpu.push(...group.sequences);
  }
  for (const group of scheduler.swapped) {
    assert(group.swapped, 'V2: a swapped group lies in the GPU pool');
    onCpu.push(...group.sequences);
  }
  for (const group of scheduler.waiting) {
    assert(group.sequences.length === 1 && group.first.table.length === 0, 'V2: a waiting group holds blocks');
  }
  checkPool(blocks.gpu, onGpu);
  checkPool(blocks.cpu, onCpu);
  const queued = new Set<number>();
  for (const queue of [scheduler.waiting, scheduler.running, scheduler.swapped]) {
    for (const group of queue) queued.add(group.index);
  }
  assert(queued.size === system.unfinished, 'V6: a request was lost');
}

export function checkPool(pool: BlockPool, holders: readonly Sequence[]): void {
  const refs = new Int32Array(pool.total);
  for (const { table, slots } of holders) {
    assert(table.length === Math.ceil(slots / pool.blockSize), 'V2: a table has blocks without slots');
    for (const [i, block] of table.entries()) {
      refs[block]!++;
      const filled = Math.min(pool.blockSize, slots - i * pool.blockSize);
      assert(pool.filled(block) === filled, 'V4: a block holds other tokens than its sequence has');
    }
  }
  let held = 0;
  let tokens = 0;
  let sum = 0;
  for (let block = 0; block < pool.total; block++) {
    assert(refs[block] === pool.refCount(block), 'V2: a reference count differs from the holders');
    if (refs[block]! > 0) {
      held++;
      tokens += pool.filled(block);
    }
    sum += refs[block]!;
    const content = pool.contentOf(block);
    if (content >= 0) assert(pool.filled(block) === pool.blockSize, 'V5: a hashed block is not full');
  }
  assert(pool.held === held && pool.holders === sum && pool.tokens === tokens, 'V1: the sums differ from the blocks');
  assert(pool.held + pool.free === pool.total, 'V1: held + cached + free is not the pool');
  const free = pool.freeOrder();
  assert(new Set(free).size === free.length && free.every((b) => refs[b] === 0), 'V1: the free stack is not free');
}
