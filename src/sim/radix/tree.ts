// A radix tree over tokens with lock references and eviction of leaves, as SGLang caches prefixes. Law:
// sglang/srt/mem_cache/radix_cache.py (0.5.9, page size 1). Slots are counted, not numbered: which slot a token lies in changes
// nothing here. Requests with another LoRA or salt have a tree of their own under the same memory (there: a tuple as child key).
// Hits are counted as sglang/srt/mem_cache/hiradix_cache.py does, once per node and insertion that is not a chunk of a prompt: the
// plain tree counts none (up to 0.5.20), which makes lfu and slru plain lru.
import { assert } from '../../assert.ts';
import type { TokenRuns } from '../types.ts';
import { LeafHeap } from './leaf-heap.ts';
import { matchRuns, type RunCursor, takeRuns } from './runs.ts';
import type { RadixEviction } from './strategy.ts';

export class RadixNode {
  readonly children = new Map<number, RadixNode>();
  locks = 0;
  hits = 0;
  queued = 0;

  constructor(
    public parent: RadixNode | undefined,
    /** The tokens on the edge to this node. */
    public runs: readonly number[],
    public length: number,
    public priority: number,
    readonly created: number,
    public lastAccess: number = created,
  ) {}

  /** Evicted nodes lose their parent. */
  get evictable(): boolean {
    return this.parent !== undefined && this.locks === 0 && this.children.size === 0;
  }
}

interface RadixMatch {
  /** Tokens of the longest cached prefix, and the node it ends in. */
  readonly length: number;
  readonly node: RadixNode;
}

export class RadixTree {
  /** Tokens in nodes that nobody locks, and in the others. */
  evictable = 0;
  protected = 0;
  evictedTokens = 0;
  /** Tokens in nodes with more than one lock; sum over locks of the tokens they hold. */
  shared = 0;
  held = 0;
  private readonly roots = new Map<string, RadixNode>();
  private readonly leaves: LeafHeap<RadixNode>;
  private now = 0;

  constructor(strategy: RadixEviction = 'lru') {
    this.leaves = new LeafHeap(strategy);
  }

  root(extra = ''): RadixNode {
    let root = this.roots.get(extra);
    if (root === undefined) {
      root = new RadixNode(undefined, [], 0, Number.MIN_SAFE_INTEGER, 0);
      this.roots.set(extra, root);
    }
    return root;
  }

  /** Longest cached prefix of the first `limit` tokens. Splits the node it ends in, so that it ends at one; refreshes the path. */
  match(root: RadixNode, tokens: TokenRuns, limit: number): RadixMatch {
    const time = ++this.now;
    root.lastAccess = time;
    const cursor: RunCursor = { run: 0, offset: 0 };
    let node = root;
    let length = 0;
    while (length < limit) {
      const child = node.children.get(tokens[cursor.run]! + cursor.offset);
      if (child === undefined) break;
      this.use(child, time);
      const matched = matchRuns(child.runs, tokens, cursor, limit - length);
      length += matched;
      node = matched < child.length ? this.split(child, matched) : child;
      if (node !== child) break;
    }
    return { length, node };
  }

  /** Caches the first `length` tokens; returns how many of them were there already, whose slots the caller gives back. */
  insert(
    root: RadixNode,
    tokens: TokenRuns,
    length: number,
    { priority = 0, chunk = false }: { priority?: number; chunk?: boolean } = {},
  ): number {
    const time = ++this.now;
    root.lastAccess = time;
    root.priority = Math.max(root.priority, priority);
    const cursor: RunCursor = { run: 0, offset: 0 };
    let node = root;
    let present = 0;
    while (present < length) {
      const child = node.children.get(tokens[cursor.run]! + cursor.offset);
      if (child === undefined) break;
      this.use(child, time);
      const matched = matchRuns(child.runs, tokens, cursor, length - present);
      present += matched;
      node = matched < child.length ? this.split(child, matched) : child;
      node.priority = Math.max(node.priority, priority);
      if (!chunk) node.hits++;
      if (node.evictable) this.leaves.changed(node);
    }
    if (present < length)
      this.addLeaf(node, takeRuns(tokens, cursor, length - present), length - present, priority, chunk);
    return present;
  }

  /** Protects a node and everything above it. */
  lock(from: RadixNode): void {
    for (let node = from; node.parent !== undefined; node = node.parent) {
      if (node.locks === 0) {
        this.evictable -= node.length;
        this.protected += node.length;
      }
      if (node.locks === 1) this.shared += node.length;
      node.locks++;
      this.held += node.length;
    }
  }

  unlock(from: RadixNode): void {
    for (let node = from; node.parent !== undefined; node = node.parent) {
      node.locks--;
      assert(node.locks >= 0, 'law R1: no lock is given back more often than it was taken');
      this.held -= node.length;
      if (node.locks === 1) this.shared -= node.length;
      if (node.locks > 0) continue;
      this.evictable += node.length;
      this.protected -= node.length;
      if (node.children.size === 0) this.leaves.changed(node);
    }
  }

  /** Evicts whole leaves until `tokens` are free or nothing is left; returns how many tokens that were. */
  evict(tokens: number): number {
    let evicted = 0;
    while (evicted < tokens) {
      const leaf = this.leaves.pop();
      if (leaf === undefined) break;
      const parent = leaf.parent!;
      parent.children.delete(leaf.runs[0]!);
      leaf.parent = undefined;
      evicted += leaf.length;
      this.evictable -= leaf.length;
      if (parent.evictable) this.leaves.changed(parent);
    }
    this.evictedTokens += evicted;
    return evicted;
  }

  /** Every node but the roots, parents first. For tests and views. */
  *nodes(): Generator<RadixNode> {
    const stack = [...this.roots.values()];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node.parent !== undefined) yield node;
      stack.push(...node.children.values());
    }
  }

  /** Recounts everything; `holders`: the nodes that requests have locked. For tests; linear in the tree. */
  check(holders: Iterable<RadixNode>): void {
    const locks = new Map<RadixNode, number>();
    for (const holder of holders) {
      for (let node = holder; node.parent !== undefined; node = node.parent)
        locks.set(node, (locks.get(node) ?? 0) + 1);
    }
    const sums = { evictable: 0, protected: 0, shared: 0, held: 0 };
    for (const node of this.nodes()) {
      const held = locks.get(node) ?? 0;
      assert(node.locks === held, 'law R2: locks equal the holders at or below a node');
      assert(node.length > 0 && runLength(node.runs) === node.length, 'law R3: an edge has its tokens');
      assert(node.parent!.children.get(node.runs[0]!) === node, 'law R3: a child is found by its first token');
      sums[held > 0 ? 'protected' : 'evictable'] += node.length;
      if (held > 1) sums.shared += node.length;
      sums.held += held * node.length;
    }
    for (const key of ['evictable', 'protected', 'shared', 'held'] as const) {
      assert(sums[key] === this[key], `law R4: ${key} tokens ${this[key]}, counted ${sums[key]}`);
    }
  }

  private use(node: RadixNode, time: number): void {
    node.lastAccess = time;
    if (node.evictable) this.leaves.changed(node);
  }

  /** Puts a node before `child` that holds its first tokens; returns it. Locks, hits and priority are the child's. */
  private split(child: RadixNode, at: number): RadixNode {
    const parent = child.parent!;
    const cursor: RunCursor = { run: 0, offset: 0 };
    const head = new RadixNode(parent, takeRuns(child.runs, cursor, at), at, child.priority, ++this.now);
    child.runs = takeRuns(child.runs, cursor, child.length - at);
    child.length -= at;
    child.parent = head;
    head.locks = child.locks;
    head.hits = child.hits;
    head.children.set(child.runs[0]!, child);
    parent.children.set(head.runs[0]!, head);
    return head;
  }

  private addLeaf(parent: RadixNode, runs: number[], length: number, priority: number, chunk: boolean): void {
    const leaf = new RadixNode(parent, runs, length, priority, ++this.now);
    if (!chunk) leaf.hits = 1;
    parent.children.set(runs[0]!, leaf);
    this.evictable += length;
    this.leaves.changed(leaf);
  }
}

function runLength(runs: TokenRuns): number {
  let length = 0;
  for (let i = 0; i < runs.length; i += 2) length += runs[i + 1]! - runs[i]!;
  return length;
}
