// A block pool whose blocks can have several keys. Where Mamba states are cached inside a block (groups with blocks of different
// sizes), the last block of a prompt is findable by the prefix that ends in its middle, and by its own end once it is complete.
// Law: vllm/v1/core/block_pool.py (cache_partial_block, cached_block_hashes_by_block, move_block_hashes), vLLM 0.26 and later.
import { BlockPool, keyNumber } from './block-pool.ts';

interface Alias {
  block: number;
  lo: number;
  hi: number;
  stamp: number;
}

export class MultiKeyPool extends BlockPool {
  /** Tokens that the first key of a block covers; when it was registered. */
  private readonly tokens = new Int32Array(this.numBlocks);
  private readonly stamps = new Float64Array(this.numBlocks);
  private clock = 0;
  /** Further keys: by key, in order of registration, and by block. */
  private readonly byKey = new Map<number, Alias[]>();
  private readonly byBlock = new Map<number, Alias[]>();

  /** The block of a key that was registered first. */
  override find(lo: number, hi: number): number {
    const first = super.find(lo, hi);
    const alias = this.byKey.get(keyNumber(lo, hi))?.[0];
    if (!alias) return first;
    return first !== 0 && (this.stamps[first] as number) < alias.stamp ? first : alias.block;
  }

  /** A complete block: what it was findable by before is forgotten. */
  override register(block: number, lo: number, hi: number, tokens = 0): void {
    if (this.hasKey(block)) this.forget(block);
    this.insert(block, lo, hi, tokens);
  }

  /** The prefix that ends inside the block: one key more, or in place of those of a shorter prefix. */
  registerPartial(block: number, lo: number, hi: number, tokens: number): void {
    if (this.holds(block, lo, hi)) return;
    if (this.hasKey(block) && (this.tokens[block] as number) < tokens) this.forget(block);
    this.insert(block, lo, hi, tokens);
  }

  /** Tokens of the prefix that the block's first key stands for; 0 without a key. */
  keyTokens(block: number): number {
    return this.hasKey(block) ? (this.tokens[block] as number) : 0;
  }

  /** All keys of one block become another's. */
  moveKeys(from: number, to: number): void {
    if (!this.hasKey(from)) return;
    const tokens = this.tokens[from] as number;
    const keys = [
      { lo: this.keyLo[from] as number, hi: this.keyHi[from] as number },
      ...(this.byBlock.get(from) ?? []),
    ];
    this.forget(from);
    for (const { lo, hi } of keys) this.insert(to, lo, hi, tokens);
  }

  /** One holder more of a block that is in use. */
  holdAgain(block: number): void {
    this.hold(block, this.refs[block] as number);
  }

  override forget(block: number): void {
    for (const alias of this.byBlock.get(block) ?? []) {
      const key = keyNumber(alias.lo, alias.hi);
      const others = (this.byKey.get(key) ?? []).filter((other) => other !== alias);
      if (others.length > 0) this.byKey.set(key, others);
      else this.byKey.delete(key);
    }
    this.byBlock.delete(block);
    super.forget(block);
  }

  override reset(): boolean {
    if (!super.reset()) return false;
    this.byKey.clear();
    this.byBlock.clear();
    return true;
  }

  private holds(block: number, lo: number, hi: number): boolean {
    if (!this.hasKey(block)) return false;
    if (this.keyLo[block] === lo && this.keyHi[block] === hi) return true;
    return (this.byBlock.get(block) ?? []).some((alias) => alias.lo === lo && alias.hi === hi);
  }

  private insert(block: number, lo: number, hi: number, tokens: number): void {
    if (this.holds(block, lo, hi)) return;
    this.clock++;
    if (!this.hasKey(block)) {
      super.register(block, lo, hi);
      this.tokens[block] = tokens;
      this.stamps[block] = this.clock;
      return;
    }
    const alias = { block, lo, hi, stamp: this.clock };
    const key = keyNumber(lo, hi);
    const same = this.byKey.get(key);
    if (same) same.push(alias);
    else this.byKey.set(key, [alias]);
    const own = this.byBlock.get(block);
    if (own) own.push(alias);
    else this.byBlock.set(block, [alias]);
  }
}
