// Vectors over single parts: the free queue, the map of keys, the hit rate, what a window finds and releases, and capacity.

import { BlockPool } from '../../../src/sim/paged/block-pool.ts';
import type { KvGroup } from '../../../src/sim/paged/groups/group.ts';
import { HitRate } from '../../../src/sim/paged/hit-rate.ts';
import { KvManager } from '../../../src/sim/paged/kv-manager.ts';
import { BlockTable, Sequence } from '../../../src/sim/paged/sequence.ts';
import { divCeil, divFloor } from '../../../src/units.ts';
import { type Compare, configOf, type Fields, requestOf, type Vector, vectorRules } from './common.ts';

type Case = (fields: Fields, expect: unknown) => unknown;

/** One function a kind: makes what the vector is about and answers its cases in order. */
const kinds: Readonly<Record<string, (vector: Vector) => Case>> = {
  free_queue: freeQueue,
  hash_map: hashMap,
  hit_rate: hitRate,
  window_lookup: windowLookup,
  window_release: windowRelease,
  blocks_needed: blocksNeeded,
  capacity,
  max_len: maxLen,
};

export function isPart(kind: string): boolean {
  return Object.hasOwn(kinds, kind);
}

export function runPart(vector: Vector, compare: Compare): void {
  const answer = (kinds[vector.kind] as (vector: Vector) => Case)(vector);
  const list = vector.steps ?? vector.cases ?? [];
  list.forEach((fields, i) => {
    const actual = answer(fields, fields.expect);
    if (!('expect' in fields)) return;
    const expected = fields.expect;
    if (typeof expected === 'object' && expected !== null && !Array.isArray(expected)) {
      for (const [field, value] of Object.entries(expected))
        compare(`case ${i + 1} ${field}`, (actual as Fields | undefined)?.[field], value);
    } else compare(`case ${i + 1}`, actual, expected);
  });
}

/** Ids of the vector are one below ours: block 0 is the null block here. */
function freeQueue({ initial }: Vector): Case {
  const pool = new BlockPool((initial as number[]).length + 1, true);
  const give = (id: number): void => pool.release(Int32Array.of(id + 1), 0, 1, 'tail');
  return (fields) => {
    const ids: number[] = [];
    const wanted = fields.op === 'popleft' ? 1 : fields.op === 'popleft_n' ? (fields.n as number) : 0;
    if (wanted > pool.free) return { error: 'no free blocks' };
    if (fields.op === 'popleft') ids.push(pool.take() - 1);
    else if (fields.op === 'popleft_n') for (let i = 0; i < (fields.n as number); i++) ids.push(pool.take() - 1);
    else if (fields.op === 'remove') pool.touch((fields.id as number) + 1);
    else if (fields.op === 'append') for (const id of fields.ids as number[]) give(id);
    return { ids, count: pool.free, order: pool.freeOrder().map((id) => id - 1) };
  };
}

function hashMap(): Case {
  const pool = new BlockPool(1024, true);
  const keys = new Map<string, number>();
  const keyOf = (name: unknown): number => {
    const known = keys.get(String(name));
    if (known !== undefined) return known;
    keys.set(String(name), keys.size + 1);
    return keys.size;
  };
  return (fields, expect) => {
    const key = fields.key === undefined ? 0 : keyOf(fields.key);
    const block = (fields.id as number) + 1;
    const ids = (): number[] => pool.twins(key, key).map((id) => id - 1);
    switch (fields.op) {
      case 'insert':
        pool.register(block, key, key);
        return null;
      case 'get':
        return ids()[0] ?? null;
      case 'pop':
        if (!ids().includes(block - 1)) return null;
        pool.forget(block);
        return block - 1;
      case 'dump':
        return Object.fromEntries(
          [...keys]
            .map(([name, value]) => [name, pool.twins(value, value).map((id) => id - 1)] as const)
            .filter(([, blocks]) => blocks.length > 0)
            .map(([name, blocks]) => [
              name,
              typeof (expect as Fields)?.[name] === 'number' && blocks.length === 1 ? blocks[0] : blocks,
            ]),
        );
      default:
        throw new Error(`unknown operation ${String(fields.op)}`);
    }
  };
}

function hitRate({ max_recent_requests }: Vector): Case {
  const rate = new HitRate(max_recent_requests as number);
  return (fields) => {
    if (fields.op === 'observe')
      rate.observe(fields.requests as number, fields.queries as number, fields.hits as number);
    else if (fields.op === 'reset') rate.reset();
    return { requests: rate.requests, queries: rate.queries, hits: rate.hits, hit_rate: rate.rate };
  };
}

/** A manager with the vector's one group. */
function managerOf({ group }: Vector, numBlocks: number): KvManager {
  const config = configOf({ groups: [group], num_blocks: numBlocks, max_model_len: 1 << 20 });
  return new KvManager(config, vectorRules());
}

/** Block i of a request, where it is cached, has id i + 10. */
function windowLookup(vector: Vector): Case {
  return (fields) => {
    const cached = fields.cached as boolean[];
    const kv = managerOf(vector, cached.length + 12);
    const group = kv.groups[0] as KvGroup;
    const tokens = cached.length * group.blockSize + 1;
    const sequence = new Sequence(0, requestOf('0', [0, tokens]), 0, kv.tables(tokens));
    const keys = kv.keysOf(sequence);
    keys.extend(tokens);
    cached.forEach((is, i) => {
      const { lo, hi } = group.keyOf(keys, i);
      if (is) kv.pool.register(i + 10, lo, hi);
    });
    kv.lookup(sequence);
    const hit = [...group.hit.ids.subarray(0, group.hit.length)];
    let nulls = 0;
    while (nulls < hit.length && hit[nulls] === 0) nulls++;
    const tail = hit.slice(-2);
    return {
      hit_blocks: hit.length,
      null_prefix: nulls,
      last_two_are_real: tail.every((id, i) => id === hit.length - tail.length + i + 10),
    };
  };
}

function windowRelease(vector: Vector): Case {
  const count = (vector.initial as number[]).length;
  const kv = managerOf(vector, count + 1);
  const group = kv.groups[0] as KvGroup;
  const sequence = new Sequence(0, requestOf('0', [0, 1]), 0, [new BlockTable(count)]);
  const table = sequence.tables[0] as BlockTable;
  for (let i = 0; i < count; i++) table.push(kv.pool.take());
  table.tracked = true;
  return (fields) => {
    group.releaseSkipped(table, fields.computed_tokens as number, sequence);
    return { leading_nulls: table.firstHeld };
  };
}

function blocksNeeded(vector: Vector): Case {
  return (fields) => {
    const { null: nulls = 0, evictable = 0, held = 0 } = fields.hit_blocks as Record<string, number>;
    const kv = managerOf(vector, 4096);
    const group = kv.groups[0] as KvGroup;
    const sequence = new Sequence(0, requestOf('0', [0, fields.tokens as number]), 0, kv.tables(1));
    let index = 0;
    for (let i = 0; i < nulls; i++) group.hit.set(index++, 0);
    for (let i = 0; i < evictable; i++) group.hit.set(index++, i + 1);
    for (let i = 0; i < held; i++) {
      kv.pool.touch(i + 2048);
      group.hit.set(index++, i + 2048);
    }
    group.hit.length = index;
    return group.blocksNeeded(sequence.tables[0] as BlockTable, {
      tokens: fields.tokens as number,
      mainTokens: fields.tokens as number,
      computed: fields.computed_tokens as number,
      local: fields.computed_tokens as number,
      gate: false,
      useHit: true,
      sequence,
    });
  };
}

/** Sequences of max_model_len that a pool holds: blocks over the blocks of one such request, all groups together. */
function capacity(vector: Vector): Case {
  const maxModelLen = vector.max_model_len as number;
  return (fields) => {
    const config = configOf({
      groups: fields.groups,
      num_blocks: fields.num_blocks,
      max_model_len: maxModelLen,
      max_num_batched_tokens: vector.max_num_batched_tokens,
    });
    const kv = new KvManager(config, { ...vectorRules(), admissionCap: 'oneBatch' });
    let perRequest = 0;
    for (const group of kv.groups)
      perRequest += Math.min(divCeil(maxModelLen, group.blockSize), group.admissionCap ?? Infinity);
    return (fields.num_blocks as number) / perRequest;
  };
}

/** The longest context that fits: whole blocks of all layers' keys and values. */
function maxLen(): Case {
  return (fields) => {
    const blockSize = fields.block_size as number;
    const perToken =
      2 *
      (fields.layers as number) *
      (fields.kv_heads as number) *
      (fields.head_size as number) *
      (fields.bytes as number);
    const blocks = divFloor(fields.available_bytes as number, perToken * blockSize);
    const wanted = fields.max_model_len as number;
    return divCeil(wanted, blockSize) <= blocks ? wanted : blocks * blockSize;
  };
}
