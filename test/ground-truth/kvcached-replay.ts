// Replays what kvcached's own block pool was asked (kvcached-oracle.test.ts says how that was recorded) with the simulator's pool of pages,
// and says where the two differ. kvcached numbers all blocks of its address space, those too that reach over the end of a page and are
// never used; the simulator numbers those that are used. Everything else is compared as it is.
import { sharedMemory } from '../../src/sim/sharing/memory.ts';
import type { Tenant } from '../../src/sim/sharing/tenant.ts';
import { policyOf, sharedRun } from '../helpers/sharing.ts';

export interface Scenario {
  pageBytes: number;
  min: number;
  max: number;
  memory: number;
  util: number;
  /** Tokens that may stay cached; null: no limit. */
  cached: number | null;
  managers: { blocks: number; blockBytes: number; blockSize: number; tensors: number; caching: boolean }[];
}

/** available, evictable, reserved pages, pages in use, pages the GPU has room for, page ids mapped and unmapped so far. */
type State = [number, number, number, number, number, number];
export type Row =
  | ['s', number, ...State]
  /** A request: its number, family, blocks in common with it, blocks in all; the blocks that were hit, and those got (null: refused). */
  | ['n', number, number, number, number, number, string, string | null, State]
  /** It wants so many more. */
  | ['g', number, number, number, string | null, State]
  /** So many blocks leave its window. */
  | ['h', number, number, number, State]
  /** It ends. */
  | ['f', number, number, State]
  /** Nothing. */
  | ['w', number, State];

interface Held {
  id: number;
  family: number;
  shared: number;
  blocks: number[];
  registered: number;
}

export class Replay {
  private readonly memory;
  private readonly requests = new Map<number, Held>();
  /** kvcached's number of each block, by model. */
  private readonly names: number[][];

  constructor({ pageBytes, min, max, memory, util, cached, managers }: Scenario) {
    // size_t(total x (1 - utilization)) is left alone.
    const room = memory - Math.floor(memory * (1 - util));
    const reserved = { minReservedPages: min, maxReservedPages: max };
    const policy = policyOf('kvcached', { pageBytes, maxCachedTokens: cached, ...reserved });
    const shapes = managers.map(({ blocks, blockBytes, blockSize, tensors, caching }) => ({
      blockSize,
      blockBytes: blockBytes * tensors,
      tensors,
      max: Math.floor((blocks * blockBytes) / pageBytes) * pageBytes * tensors,
      paged: { prefixCaching: caching },
    }));
    this.memory = sharedMemory(sharedRun(policy, [room], shapes));
    for (const tenant of this.memory.tenants) tenant?.begin();
    this.names = managers.map(({ blocks, blockBytes }) => {
      const names: number[] = [];
      for (let page = 0; (page + 1) * pageBytes <= blocks * blockBytes; page++) {
        const end = Math.floor(((page + 1) * pageBytes) / blockBytes);
        for (let block = Math.ceil((page * pageBytes) / blockBytes); block < end; block++) names.push(block);
      }
      return names;
    });
  }

  /** The row as the simulator would have written it. */
  answer(row: Row): unknown[] {
    const tenant = this.memory.tenants[row[1]] as Tenant;
    if (row[0] === 's') return ['s', row[1], ...this.state(tenant)];
    const said = this.done(row, tenant);
    this.memory.sharing?.afterStep?.(tenant, 0);
    return [...said, this.state(tenant)];
  }

  private done(row: Exclude<Row, ['s', ...unknown[]]>, tenant: Tenant): unknown[] {
    const { pool } = tenant;
    const name = (blocks: readonly number[]) => inRuns(blocks.map((block) => this.names[row[1]]?.[block] as number));
    switch (row[0]) {
      case 'n': {
        const [, , id, family, shared, total] = row;
        const request: Held = { id, family, shared, blocks: [], registered: 0 };
        const hits: number[] = [];
        for (let i = 0; pool.caching && i < Math.min(shared, total - 1); i++) {
          const block = pool.find(...keyOf(request, i));
          if (block === 0) break;
          hits.push(block);
        }
        const got = this.grow(tenant, request, hits, total - hits.length);
        if (got) this.requests.set(id, request);
        return [...row.slice(0, 6), name(hits), got ? name(got) : null];
      }
      case 'g': {
        const got = this.grow(tenant, this.requests.get(row[2])!, [], row[3]);
        return [...row.slice(0, 4), got ? name(got) : null];
      }
      case 'h': {
        const { blocks } = this.requests.get(row[2])!;
        const from = blocks.findIndex((block) => block !== 0);
        const gone = blocks.slice(from, from + row[3]);
        blocks.fill(0, from, from + row[3]);
        pool.release(Int32Array.from(gone), gone.length - 1, gone.length, 'tail');
        return row.slice(0, 4);
      }
      case 'f': {
        const { blocks } = this.requests.get(row[2])!;
        this.requests.delete(row[2]);
        pool.release(Int32Array.from(blocks), blocks.length - 1, blocks.length, 'tail');
        return row.slice(0, 3);
      }
      case 'w':
        return row.slice(0, 2);
    }
  }

  /** vLLM's allocate_slots: hits, new blocks, and all but the last, which is not full yet, can be found. */
  private grow({ pool }: Tenant, request: Held, hits: readonly number[], count: number): number[] | undefined {
    const unused = hits.filter((block) => pool.refs[block] === 0).length;
    if (count + unused > pool.available) return undefined;
    for (const block of hits) pool.touch(block);
    pool.expect(count);
    const got = Array.from({ length: count }, () => pool.take());
    const { blocks } = request;
    if (hits.length > 0) request.registered = hits.length;
    blocks.push(...hits, ...got);
    for (; request.registered < blocks.length - 1; request.registered++) {
      const block = blocks[request.registered] as number;
      if (pool.caching && block !== 0) pool.register(block, ...keyOf(request, request.registered));
    }
    return got;
  }

  private state({ pool, pages, setup, ledger }: Tenant): State {
    const room = Math.floor(ledger.free(setup.devices) / setup.pageBytes);
    const calls = pages.mapped + pages.unmapped;
    const { cachedFree, emptyPages, mappedPages } = pool;
    return [pool.available - cachedFree, cachedFree, emptyPages, mappedPages - emptyPages, room, calls];
  }
}

/** Block i of a request: in common with its family, or its own. */
function keyOf({ id, family, shared }: Held, i: number): [number, number] {
  return i < shared ? [1 + family, 1 + i] : [1000 + id, 1 + i];
}

/** Ascending runs as first-last. */
function inRuns(blocks: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const block of blocks) {
    const last = runs.at(-1);
    if (last && last[1] + 1 === block) last[1] = block;
    else runs.push([block, block]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}
