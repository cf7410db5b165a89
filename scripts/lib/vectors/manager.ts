// Vectors of kind `manager`: requests, lookups and allocations on one KV-cache manager, block ids compared.
import { assert } from '../../../src/assert.ts';
import type { KvGroup } from '../../../src/sim/paged/groups/group.ts';
import { KvManager } from '../../../src/sim/paged/kv-manager.ts';
import { type BlockTable, Sequence } from '../../../src/sim/paged/sequence.ts';
import {
  type Compare,
  configOf,
  type Fields,
  requestOf,
  runsOf,
  type Segment,
  type Vector,
  vectorRules,
} from './common.ts';

interface Found {
  blocks: number[][];
  tokens: number;
}

export function runManager(vector: Vector, compare: Compare): void {
  const manager = new ManagerVector(vector);
  vector.steps?.forEach((step, i) => {
    const expect = (step.expect ?? {}) as Fields;
    const actual = manager.step(step, expect);
    for (const [field, expected] of Object.entries(expect))
      compare(`step ${i + 1} (${String(step.op)}) ${field}`, actual[field], expected);
  });
}

class ManagerVector {
  private readonly kv: KvManager;
  private readonly sequences = new Map<string, Sequence>();
  private readonly found = new Map<string, Found>();
  private readonly remembered = new Map<string, number[]>();
  private readonly skipsCache = new Set<string>();
  private readonly forgotten: { block: number; lo: number; hi: number }[] = [];
  private lastNew: number[][] = [];

  constructor(vector: Vector) {
    this.kv = new KvManager(configOf(vector.config ?? {}), vectorRules());
  }

  step(step: Fields, expect: Fields): Fields {
    switch (step.op) {
      case 'request':
        return this.request(step);
      case 'lookup':
        return this.lookup(step, expect);
      case 'allocate':
        return this.allocate(step, expect);
      case 'set_computed':
        this.sequence(step).computed = step.tokens as number;
        return {};
      case 'append':
        return this.append(step);
      case 'free': {
        const sequence = this.sequence(step);
        this.kv.free(sequence);
        sequence.computed = 0;
        return {};
      }
      case 'reset':
        return { ok: this.kv.pool.reset() };
      case 'remember_blocks':
        this.remembered.set(String(step.as), this.blocksOf(this.sequence(step), 0));
        return {};
      case 'forget_hash':
        return this.forget(step);
      case 'restore_hashes':
        for (const { block, lo, hi } of this.forgotten.splice(0)) this.kv.pool.register(block, lo, hi);
        return {};
      case 'check':
        return this.check(expect);
      default:
        throw new Error(`unknown operation ${String(step.op)}`);
    }
  }

  private request(step: Fields): Fields {
    const id = String(step.req);
    const salt = step.salt === undefined || step.salt === null ? {} : { salt: String(step.salt) };
    const request = requestOf(id, runsOf(step.tokens as Segment[]), salt);
    const sequence = new Sequence(
      this.sequences.size,
      request,
      this.sequences.size,
      this.kv.tables(request.promptTokens),
    );
    this.sequences.set(id, sequence);
    if (step.skip_reading_prefix_cache === true) this.skipsCache.add(id);
    return { full_block_hashes: this.kv.keysOf(sequence).extend(sequence.known) };
  }

  private lookup(step: Fields, expect: Fields): Fields {
    const id = String(step.req);
    const sequence = this.sequence(step);
    const tokens = this.skipsCache.has(id) ? this.noHit() : this.kv.lookup(sequence);
    const blocks = this.kv.groups.map(({ hit }) => [...hit.ids.subarray(0, hit.length)]);
    this.found.set(id, { blocks, tokens });
    const other = expect.hit_equals_blocks_of;
    const as = expect.hit_equals_remembered;
    return {
      hit_blocks: blocks,
      hit_tokens: tokens,
      hit_block_counts: blocks.map((ids) => ids.length),
      group_count: blocks.length,
      hit_equals_blocks_of:
        other !== undefined && same(blocks[0], this.blocksOf(this.sequenceOf(String(other)), 0)) && other,
      hit_equals_remembered: as !== undefined && same(blocks[0], this.remembered.get(String(as))) && as,
    };
  }

  private noHit(): number {
    for (const { hit } of this.kv.groups) hit.length = 0;
    return 0;
  }

  private allocate(step: Fields, expect: Fields): Fields {
    const sequence = this.sequence(step);
    const useHit = step.use_lookup === true;
    const found = useHit ? this.found.get(String(step.req)) : undefined;
    this.kv.groups.forEach(({ hit }, g) => {
      hit.length = 0;
      for (const [i, block] of (found?.blocks[g] ?? []).entries()) hit.set(i, block);
      hit.length = found?.blocks[g]?.length ?? 0;
    });
    const before = this.kv.groups.map((_, g) => this.blocksOf(sequence, g));
    const allocated = this.kv.allocate(sequence, step.new_tokens as number, {
      lookahead: (step.lookahead as number | undefined) ?? 0,
      useHit,
      hitTokens: found?.tokens ?? 0,
      gate: step.full_sequence_must_fit === true,
    });
    this.lastNew = this.kv.groups.map((_, g) => {
      const known = new Set([...(before[g] as number[]), ...(found?.blocks[g] ?? [])]);
      return this.blocksOf(sequence, g).filter((block) => block !== 0 && !known.has(block));
    });
    const not = expect.new_blocks_not as number[] | undefined;
    const fresh = this.lastNew.flat();
    return {
      new_blocks: this.lastNew,
      new_block_counts: this.lastNew.map((ids) => ids.length),
      allocated,
      refused: !allocated,
      group_count: this.kv.groups.length,
      new_blocks_not: not && fresh.every((block) => !not.includes(block)) ? not : fresh,
      same_hashes_as: this.sameKeys(sequence, expect.same_hashes_as),
      ref_count_of_new_blocks: fresh.every((block) => this.kv.pool.refs[block] === expect.ref_count_of_new_blocks)
        ? expect.ref_count_of_new_blocks
        : fresh.map((block) => this.kv.pool.refs[block]),
    };
  }

  /** Whether a request's complete blocks have the keys of another's. */
  private sameKeys(sequence: Sequence, other: unknown): unknown {
    if (other === undefined) return undefined;
    const a = this.kv.keysOf(sequence);
    const b = this.kv.keysOf(this.sequenceOf(String(other)));
    const count = Math.min(a.count, b.count);
    for (let i = 0; i < count; i++) if (a.lo[i] !== b.lo[i] || a.hi[i] !== b.hi[i]) return false;
    return other;
  }

  private append(step: Fields): Fields {
    const sequence = this.sequence(step);
    const runs = runsOf(step.tokens as Segment[]);
    (sequence.request.output as number[]).push(...runs);
    for (let i = 0; i < runs.length; i += 2) sequence.known += (runs[i + 1] as number) - (runs[i] as number);
    return { full_block_hashes: this.kv.keysOf(sequence).extend(sequence.known) };
  }

  private forget(step: Fields): Fields {
    const sequence = this.sequence(step);
    const group = this.kv.groups[step.group as number] as KvGroup;
    const keys = this.kv.keysOf(sequence);
    keys.extend(sequence.known);
    const { lo, hi } = group.keyOf(keys, step.block_index as number);
    const { pool } = this.kv;
    const blocks = step.block_id === undefined ? pool.twins(lo, hi) : [step.block_id as number];
    for (const block of blocks) {
      if (!pool.twins(lo, hi).includes(block)) {
        assert(step.may_be_absent === true, `block ${block} is not cached`);
        continue;
      }
      pool.forget(block);
      this.forgotten.push({ block, lo, hi });
    }
    return {};
  }

  private check(expect: Fields): Fields {
    const { pool } = this.kv;
    const ids = Array.from({ length: pool.numBlocks }, (_, id) => id);
    const hashed = (expect.hashed as number[] | undefined) ?? [];
    const unhashed = (expect.unhashed as number[] | undefined) ?? [];
    const counts = (expected: Fields): Fields =>
      Object.fromEntries(Object.keys(expected).map((id) => [id, pool.refs[Number(id)]]));
    const cached = new Set(ids.filter((id) => pool.hasKey(id)).map((id) => pool.keyOf(id))).size;
    const order = pool.freeOrder();
    return {
      ref_counts: counts((expect.ref_counts ?? {}) as Fields),
      remembered_ref_counts: this.rememberedCounts(expect.remembered_ref_counts),
      hashed: hashed.length === 0 ? ids.filter((id) => pool.hasKey(id)) : hashed.filter((id) => pool.hasKey(id)),
      unhashed: unhashed.filter((id) => !pool.hasKey(id)),
      free_count: pool.free,
      free_order: order,
      free_ref_counts_all_zero: order.every((id) => pool.refs[id] === 0),
      cached_hash_count: cached,
      cached_hash_count_positive: cached > 0,
      request_tail_hashed: Object.fromEntries(
        Object.entries((expect.request_tail_hashed ?? {}) as Record<string, boolean[]>).map(([id, tail]) => [
          id,
          this.blocksOf(this.sequenceOf(id), 0)
            .slice(-tail.length)
            .map((block) => pool.hasKey(block)),
        ]),
      ),
      cached_hash_indices: this.indices(expect.cached_hash_indices),
    };
  }

  private rememberedCounts(expected: unknown): unknown {
    if (typeof expected !== 'object' || expected === null) return undefined;
    return Object.fromEntries(
      Object.entries(expected).map(([as, value]) => {
        const counts = (this.remembered.get(as) ?? []).map((block) => this.kv.pool.refs[block]);
        return [as, Array.isArray(value) || counts.some((count) => count !== value) ? counts : value];
      }),
    );
  }

  /** Which of a request's block indices are in the map, as asked for. */
  private indices(expected: unknown): unknown {
    if (expected === undefined) return undefined;
    const one = (query: Fields): Fields => {
      const sequence = this.sequenceOf(String(query.req));
      const group = this.kv.groups[(query.group as number | undefined) ?? 0] as KvGroup;
      const keys = this.kv.keysOf(sequence);
      keys.extend(sequence.known);
      const isCached = (index: number): boolean => {
        const { lo, hi } = group.keyOf(keys, index);
        return this.kv.pool.find(lo, hi) !== 0;
      };
      const present = (query.present as number[] | undefined)?.filter(isCached);
      const absent = (query.absent as number[] | undefined)?.filter((index) => !isCached(index));
      return { ...query, ...(present ? { present } : {}), ...(absent ? { absent } : {}) };
    };
    return Array.isArray(expected) ? expected.map(one) : one(expected as Fields);
  }

  private blocksOf(sequence: Sequence, group: number): number[] {
    const table = sequence.tables[group] as BlockTable;
    return [...table.ids.subarray(0, table.length)];
  }

  private sequence(step: Fields): Sequence {
    return this.sequenceOf(String(step.req));
  }

  private sequenceOf(id: string): Sequence {
    const sequence = this.sequences.get(id);
    assert(sequence, `no request ${id}`);
    return sequence;
  }
}

function same(a: readonly number[] | undefined, b: readonly number[] | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
