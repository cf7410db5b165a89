// Up to which token of a prompt a state or block is kept findable although it ends inside a block: the last multiple of the key size
// that a later request could use. Law: _cache_partial_tail_block in vllm/v1/core/single_type_kv_cache_manager.py and
// get_mamba_prefill_checkpoint_position in vllm/v1/kv_cache_interface.py.

/**
 * `promptEnd`: the last multiple of the key size in the prompt (0.26 to 0.29); `lessFlagged`, `lessDropped`: one less for Mamba groups
 * where EAGLE drops a block, in flagged groups or in all (0.30, 0.31); `hittable`: the last from which tokens are left to compute.
 */
export type PartialTail = 'promptEnd' | 'lessFlagged' | 'lessDropped' | 'hittable';

export interface TailQuery {
  rule: PartialTail;
  prompt: number;
  keySize: number;
  /** EAGLE drops a hit's last block: in this group, in any. */
  flagged: boolean;
  dropLast: boolean;
  keyLookahead: number;
}

/** Full attention: the boundary within the prompt, or one that leaves its last token (0.32 and later). */
export function fullTail({ rule, prompt, keySize, flagged }: TailQuery): number {
  const limit = rule === 'hittable' && !flagged ? prompt - 1 : prompt;
  return limit - (limit % keySize);
}

export function mambaTail({ rule, prompt, keySize, flagged, dropLast, keyLookahead }: TailQuery): number {
  const limit = rule === 'hittable' && !dropLast ? prompt - Math.max(1, keyLookahead) : prompt;
  const tail = limit - (limit % keySize);
  const drops = rule === 'lessFlagged' ? flagged : rule !== 'promptEnd' && dropLast;
  return Math.max(drops ? tail - keySize : tail, 0);
}
