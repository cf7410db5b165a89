// The longest cached prefix that several KV-cache groups have in common: each kind is searched within what the ones before found,
// until nothing shrinks. Law: HybridKVCacheCoordinator.find_longest_cache_hit in vllm/v1/core/kv_cache_coordinator.py.
import type { BlockKeys } from './block-keys.ts';
import type { PagedRules } from './config.ts';
import type { KvGroup } from './groups/group.ts';

export class GroupLookup {
  /** Groups with equal layouts, looked up together; full attention first. */
  private readonly kinds: readonly (readonly KvGroup[])[];
  /** The longest prefix that any one kind had in the last search. */
  longest = 0;

  constructor(
    groups: readonly KvGroup[],
    private readonly rules: PagedRules,
    private readonly keySize: number,
    /** Hits may end inside a block. */
    private readonly partialHits: boolean,
  ) {
    this.kinds = kindsOf(groups);
    for (const kind of this.kinds) if (kind.some(({ eagle }) => eagle)) for (const group of kind) group.eagle = true;
  }

  /** Its length in tokens, at most `limit`; the blocks are left in the groups' `hit`. */
  find(keys: BlockKeys, keyCount: number, limit: number): number {
    const { kinds } = this;
    this.longest = 0;
    const only = kinds.length === 1 ? (kinds[0] as readonly KvGroup[]) : [];
    if (only.length !== 1) return this.findInKinds(keys, keyCount, limit);
    const group = only[0] as KvGroup;
    return group.findHit(only, { keys, keyCount, maxLength: limit, dropLast: group.eagle });
  }

  private findInKinds(keys: BlockKeys, keyCount: number, limit: number): number {
    const { kinds, rules } = this;
    const full = kinds[0]?.[0]?.type === 'full';
    const onePass = rules.lookupPasses === 'one' && kinds.length === 2 && full;
    const verified = new Set<number>();
    const fullLengths: number[] = [];
    let length = limit;
    for (;;) {
      let current = length;
      for (let k = 0; k < kinds.length; k++) {
        const kind = kinds[k] as readonly KvGroup[];
        const first = kind[0] as KvGroup;
        const fullLength = fullLengths[k];
        if (fullLength !== undefined) {
          current = Math.min(current, fullLength);
          if (!this.partialHits) current -= current % first.blockSize;
          continue;
        }
        const dropLast = first.eagle && (rules.eagleLookup === 'dropEachPass' || !verified.has(k));
        const reach = rules.eagleLookupLimit === 'keys' ? keyCount * this.keySize : limit;
        const maxLength = dropLast ? Math.max(current, Math.min(current + this.dropMargin(first), reach)) : current;
        const found = first.findHit(kind, { keys, keyCount, maxLength, dropLast });
        if (dropLast) verified.add(k);
        else if (found < current) verified.clear();
        current = found;
        if (first.type === 'full') fullLengths[k] = found;
        this.longest = Math.max(this.longest, current);
      }
      if (current >= length) break;
      length = current;
      if (onePass) break;
    }
    this.trimFull(length);
    return length;
  }

  private trimFull(length: number): void {
    const { kinds, rules } = this;
    for (const kind of kinds) {
      if (kind[0]?.type !== 'full' || (rules.fullTrim === 'first' && kind !== kinds[0])) continue;
      for (const group of kind) group.hit.length = Math.min(group.hit.length, Math.ceil(length / group.blockSize));
    }
  }

  /** EAGLE: how far past the current length a group is searched, so that it can drop its last block and still reach it. */
  private dropMargin({ type, blockSize }: KvGroup): number {
    if (this.rules.eagleLookup === 'dropEachPass') return 0;
    if (type === 'mamba') return this.rules.mambaReach === 'hit' ? 0 : blockSize;
    return this.partialHits && type === 'full' ? Math.min(this.keySize, blockSize) : blockSize;
  }
}

/** Equal layouts together, in order of first appearance, full attention before the others. */
function kindsOf(groups: readonly KvGroup[]): KvGroup[][] {
  const kinds = new Map<string, KvGroup[]>();
  for (const group of groups) {
    const kind = kinds.get(group.signature);
    if (kind) kind.push(group);
    else kinds.set(group.signature, [group]);
  }
  return [...kinds.values()].sort((a, b) => Number(a[0]?.type !== 'full') - Number(b[0]?.type !== 'full'));
}
