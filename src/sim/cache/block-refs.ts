// References to blocks as a cache sees them: one small id per distinct key, in the order of use. Knows nothing of tokens: keys are
// the hash ids of a trace at its own granularity, or 64-bit keys in pairs of 32-bit words (low, high).
import { assert } from '../../assert.ts';

export interface BlockRefs {
  /** One entry per reference: an id from 0 to distinct - 1, in order of first use. */
  readonly ids: Int32Array;
  readonly distinct: number;
  /** The id of a key, -1 where it never occurs. */
  idOf(key: number): number;
}

/** Hash ids of a trace: non-negative safe integers, one per block, requests one after the other. */
export function blockRefs(keys: ArrayLike<number>): BlockRefs {
  const count = keys.length;
  let highest = 0;
  for (let i = 0; i < count; i++) {
    const key = keys[i]!;
    assert(Number.isSafeInteger(key) && key >= 0, `block key ${key} at reference ${i} is not a non-negative integer`);
    if (key > highest) highest = key;
  }
  return highest < 8 * count + 1024 ? refsByTable(keys, highest) : refsByMap(keys);
}

/** The blocks of many requests, one list each, behind one another. */
export function flattenKeys(requests: readonly ArrayLike<number>[]): Float64Array {
  let total = 0;
  for (const keys of requests) total += keys.length;
  const flat = new Float64Array(total);
  let at = 0;
  for (const keys of requests) {
    flat.set(keys, at);
    at += keys.length;
  }
  return flat;
}

/** 64-bit keys, two words each (low, high). They have no number that `idOf` could look up. */
export function blockRefsOfPairs(words: Uint32Array): BlockRefs {
  const count = words.length / 2;
  assert(Number.isInteger(count), 'a 64-bit key has two words');
  const ids = new Int32Array(count);
  const slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * count + 2))).fill(-1);
  const firstUse: number[] = [];
  for (let i = 0; i < count; i++) {
    const [low, high] = [words[2 * i]!, words[2 * i + 1]!];
    let slot = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b) >>> 0;
    for (slot %= slots.length; slots[slot]! >= 0; slot = (slot + 1) % slots.length) {
      const first = 2 * firstUse[slots[slot]!]!;
      if (words[first] === low && words[first + 1] === high) break;
    }
    if (slots[slot]! < 0) slots[slot] = firstUse.push(i) - 1;
    ids[i] = slots[slot]!;
  }
  return { ids, distinct: firstUse.length, idOf: () => -1 };
}

function refsByTable(keys: ArrayLike<number>, highest: number): BlockRefs {
  const table = new Int32Array(highest + 1).fill(-1);
  const ids = new Int32Array(keys.length);
  let distinct = 0;
  for (let i = 0; i < ids.length; i++) {
    const key = keys[i]!;
    if (table[key]! < 0) table[key] = distinct++;
    ids[i] = table[key]!;
  }
  return { ids, distinct, idOf: (key) => table[key] ?? -1 };
}

function refsByMap(keys: ArrayLike<number>): BlockRefs {
  const table = new Map<number, number>();
  const ids = new Int32Array(keys.length);
  for (let i = 0; i < ids.length; i++) {
    const key = keys[i]!;
    const id = table.get(key) ?? table.size;
    ids[i] = id;
    if (id === table.size) table.set(key, id);
  }
  return { ids, distinct: table.size, idOf: (key) => table.get(key) ?? -1 };
}
