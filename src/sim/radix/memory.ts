// The token slots of a radix server: free ones, those the tree owns, and those that requests hold beyond it. Law:
// sglang/srt/mem_cache/common.py and radix_cache.py (0.5.9): a finished request leaves its tokens to the tree, what the tree had
// already is freed; a retracted one frees what the tree does not own.
import { assert } from '../../assert.ts';
import type { RadixRequest } from './request.ts';
import type { RadixEviction } from './strategy.ts';
import { RadixTree } from './tree.ts';

export class RadixMemory {
  readonly tree: RadixTree;
  free: number;
  /** Slots of running requests that the tree does not own. */
  private = 0;

  constructor(
    readonly poolTokens: number,
    eviction: RadixEviction,
    private readonly caching: boolean,
  ) {
    this.tree = new RadixTree(eviction);
    this.free = poolTokens;
  }

  /** Slots that can be had: free, or cached and locked by nobody. */
  get available(): number {
    return this.free + this.tree.evictable;
  }

  get used(): number {
    return this.poolTokens - this.available;
  }

  /** Slots that requests would hold if nothing were shared. */
  get unshared(): number {
    return this.tree.held + this.private;
  }

  /** The longest cached prefix of a request, at most all known tokens but one. Nothing is locked yet. */
  match(request: RadixRequest): void {
    const limit = request.prompt + request.output - 1;
    const { length, node } = this.caching
      ? this.tree.match(request.root, request.tokens, limit)
      : { length: 0, node: request.root };
    request.prefix = length;
    request.owned = length;
    request.committed = length;
    request.node = node;
  }

  /** Evicts when fewer than `tokens` are free: then as many as are asked for, whatever is missing. */
  makeRoom(tokens: number): boolean {
    if (this.free < tokens) this.free += this.tree.evict(tokens);
    return this.free >= tokens;
  }

  /** Slots for the next tokens of requests, all or none. */
  take(tokens: number): void {
    assert(this.makeRoom(tokens), `law R5: ${tokens} slots were promised, ${this.free} are free`);
    this.free -= tokens;
    this.private += tokens;
  }

  /** After a prefill step: the tree takes the computed tokens over, the request locks them there. */
  cacheUnfinished(request: RadixRequest, chunk: boolean): void {
    if (!this.caching) return;
    const { root, tokens, committed, priority } = request;
    const present = this.tree.insert(root, tokens, committed, { priority, chunk });
    this.giveToTree(request, present);
    const { length, node } = this.tree.match(root, tokens, committed);
    assert(length === committed, 'law R6: what was inserted is found');
    this.tree.unlock(request.node);
    this.tree.lock(node);
    request.node = node;
    request.owned = committed;
  }

  /** A request has ended: the tree keeps its tokens, unlocked. */
  cacheFinished(request: RadixRequest): void {
    const { root, tokens, committed, priority } = request;
    if (!this.caching) this.discard(request);
    else {
      this.giveToTree(request, this.tree.insert(root, tokens, committed, { priority }));
      this.tree.unlock(request.node);
    }
    request.owned = 0;
    request.committed = 0;
  }

  /** A request is retracted: only what the tree owns stays. */
  discard(request: RadixRequest): void {
    const own = request.committed - request.owned;
    this.free += own;
    this.private -= own;
    this.tree.unlock(request.node);
    request.node = request.root;
    request.owned = 0;
    request.committed = 0;
  }

  /** Recounts the slots; `running`: requests that hold locks and slots. For tests. */
  check(running: readonly RadixRequest[]): void {
    this.tree.check(running.map(({ node }) => node));
    let own = 0;
    for (const { committed, owned } of running) own += committed - owned;
    assert(own === this.private, 'law R7: slots outside the tree belong to running requests');
    assert(this.free >= 0, 'law R8: no slot is given out twice');
    const { evictable, protected: locked } = this.tree;
    assert(this.free + evictable + locked + own === this.poolTokens, 'law R9: free + cached + in use = all');
  }

  private giveToTree(request: RadixRequest, present: number): void {
    assert(present >= request.owned, 'law R10: a locked prefix is not evicted');
    this.free += present - request.owned;
    this.private -= request.committed - request.owned;
  }
}
