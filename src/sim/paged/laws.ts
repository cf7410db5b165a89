// The laws of the paged engine, numbered, and a check of all that can be read off its state. Cheap ones are asserted where state
// changes (block-pool.ts, scheduler.ts); the whole check walks everything and is for tests and for hunting a fault.
//   P1  held blocks + free blocks = usable blocks; the free queue holds each free block once and nothing else.
//   P2  the reference count of a block equals the number of block tables that hold it.
//   P3  a refused allocation changes nothing but what left a window (test/property/paged.test.ts).
//   P4  no request is lost: each unfinished one is running, waiting or loading, once.
//   P5  every block with a key is found under it, the oldest first; the null block has none and is never handed out.
//   P6  a step stays within its budget of tokens and RUNNING within max_num_seqs.
//   P7  computed tokens have slots in every attention group, up to max_model_len.
//   P8  the scheduler never reads when a request will really end, only max_tokens (output.ts alone knows).
//   P9  the same input gives the same output, to the byte; so does passing over quiet steps.
import { assert } from '../../assert.ts';
import type { BlockTable, Sequence } from './sequence.ts';
import type { PagedSystem } from './system.ts';

export function checkLaws(system: PagedSystem, sequences: Iterable<Sequence>): void {
  const { pool, groups } = system.kv;
  const order = pool.freeOrder();
  const free = new Set(order);
  assert(
    free.size === order.length && order.length === pool.free,
    'law P1: the free queue counts each free block once',
  );
  assert(!free.has(0) && pool.refs[0] === 0, 'law P5: the null block is never handed out');
  const holders = new Int32Array(pool.numBlocks);
  const seen = new Set<Sequence>();
  for (const sequence of sequences) {
    seen.add(sequence);
    groups.forEach((group, g) => {
      const table = sequence.tables[g] as BlockTable;
      for (let i = 0; i < table.length; i++) {
        const block = table.ids[i] as number;
        if (block !== 0) holders[block] = (holders[block] as number) + 1;
      }
      if (sequence.state === 'running' && group.type !== 'mamba')
        assert(
          table.length * group.blockSize >= Math.min(sequence.computed, system.config.maxModelLen),
          'law P7: computed tokens have slots',
        );
    });
  }
  for (let block = 1; block < pool.numBlocks; block++) {
    const refs = pool.refs[block] as number;
    assert(refs === holders[block], `law P2: block ${block} counts ${refs} holders, ${holders[block]} tables hold it`);
    assert(free.has(block) === (refs === 0 && pool.isThere(block)), `law P1: block ${block} is either held or free`);
  }
  const { running, line } = system.scheduler;
  assert(running.length <= system.config.maxNumSeqs, 'law P6: RUNNING within max_num_seqs');
  assert(running.length + line.length === system.unfinished, 'law P4: no request is lost');
  for (const sequence of running) assert(seen.has(sequence), 'law P4: a running request is known');
}
