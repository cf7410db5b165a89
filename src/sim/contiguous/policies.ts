// The contiguous policies by name: the baselines of the PagedAttention paper (orca-*), fixed slots, best-fit and static batching.
export const contiguousPolicies = [
  'orca-max',
  'orca-pow2',
  'orca-oracle',
  'slots',
  'best-fit',
  'static-batching',
] as const;
export type ContiguousPolicy = (typeof contiguousPolicies)[number];
