// The policies by name: a memory manager with the scheduler that belongs to it. What they do is in their own folders, how each is
// made in serving.ts.
import { contiguousPolicies } from './contiguous/policies.ts';

export const policies = ['paged', 'v0', 'nano', 'token', 'radix', ...contiguousPolicies] as const;
export type Policy = (typeof policies)[number];

export const policyHelp: Readonly<Record<Policy, string>> = {
  paged: 'blocks on demand, continuous batching, recompute (vLLM V1)',
  v0: 'blocks on demand, prefill first, swap, copy-on-write (vLLM V0)',
  nano: 'blocks on demand, prefill first (nano-vllm)',
  token: 'single token slots, admission by the estimated peak (LightLLM)',
  radix: 'a radix tree over token slots (SGLang)',
  'orca-max': 'one piece of the model maximum (Orca Max)',
  'orca-pow2': 'one piece of the next power of two (Orca Pow2)',
  'orca-oracle': 'one piece of the true length (Orca Oracle)',
  slots: 'fixed slots of the model maximum',
  'best-fit': 'one piece of max_tokens, best-fit without compaction',
  'static-batching': 'a batch runs until its last sequence ends',
};
