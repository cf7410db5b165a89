// How many routed experts a rank holds. Law: vLLM model_executor/layers/fused_moe/{config,layer}.py.

/**
 * Experts of one rank: all of them without expert parallelism; else E / ep, the rest going to the last rank (up to 0.10.0) or
 * one each to the first ranks (0.10.1 on).
 */
export function expertShare(
  experts: number,
  place: { size: number; rank: number; parallel: boolean; placement: 'rest-last' | 'rest-first' },
): number {
  if (!place.parallel) return experts;
  const base = Math.floor(experts / place.size);
  const rest = experts - base * place.size;
  if (place.placement === 'rest-last') return place.rank === place.size - 1 ? base + rest : base;
  return place.rank < rest ? base + 1 : base;
}
