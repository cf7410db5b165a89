// The serving systems by name of their policy, each over the same pool and limits. A policy is a memory manager with the scheduler
// that belongs to it; what they do is in their own folders.
import { assertNever } from '../assert.ts';
import { createContiguous } from './contiguous/index.ts';
import { fanOut } from './fan-out.ts';
import { createNano } from './nano/index.ts';
import { groupsRefusal } from './paged/block-sizes.ts';
import { poolEvictions } from './paged/eviction-pool.ts';
import { type PagedOptions, PagedSystem } from './paged/system.ts';
import { type Policy, policies } from './policies.ts';
import { maxInputTokens } from './radix/config.ts';
import { createRadix, type RadixEviction, radixEvictions } from './radix/index.ts';
import type { SimSetup } from './setup.ts';
import { createTokenGranular } from './token-granular/index.ts';
import type { RequestListener, ServingSystem, Workload } from './types.ts';
import { createV0, type V0Config } from './v0/index.ts';

/** Orders in which a policy can give up what it has cached; the first is its own. */
function evictionsOf(policy: Policy): readonly string[] {
  if (policy === 'paged') return poolEvictions;
  return policy === 'radix' ? radixEvictions : ['lru'];
}

/** Every order that some policy knows. */
export const servingEvictions: readonly string[] = [...new Set(policies.flatMap(evictionsOf))];

/** Every block costs some forty bytes here. */
const mostBlocks = 2 ** 26;

/** Why a setup cannot run under its policy, or with its eviction order; undefined when it can. */
export function setupRefusal({ policy, eviction, paged, rules }: SimSetup): string | undefined {
  const known = evictionsOf(policy);
  if (!known.includes(eviction)) return `${policy} gives up blocks by ${known.join(', ')}, not by ${eviction}`;
  const { blockSize, maxModelLen, numBlocks, groups } = paged;
  if (numBlocks < 2) return `a pool of ${numBlocks} blocks has none for requests`;
  if (numBlocks > mostBlocks) return `a pool of ${numBlocks} blocks is more than a simulation can hold (${mostBlocks})`;
  if (policy === 'nano' && blockSize < 2) return 'nano-vllm cannot use blocks of one token';
  if (policy === 'radix' && maxInputTokens({ poolTokens: (numBlocks - 1) * blockSize, maxModelLen }) < 2)
    return 'SGLang keeps room for six tokens behind every prompt; pool or model length leave none for the prompt';
  if (policy === 'paged' && paged.offload && (groups.length !== 1 || groups[0]?.type !== 'full'))
    return 'KV offloading is simulated for models whose layers all have full attention';
  const refusal = policy === 'paged' ? groupsRefusal(paged, rules) : undefined;
  if (refusal !== undefined) return refusal;
  const own = policy !== 'paged' || (eviction === 'lru' && paged.eviction?.pinTokens === undefined);
  if (own || groups.every((group) => group.type !== 'mamba' && group.blockSize === undefined)) return undefined;
  return 'with Mamba layers or blocks of several sizes, cached blocks are given up as vLLM does: by lru and without pins';
}

/** Why a policy cannot serve a workload; undefined when it can. */
export function workloadRefusal(policy: Policy, { requests }: Workload): string | undefined {
  if (policy !== 'paged' || !requests.some(({ beamWidth }) => (beamWidth ?? 1) > 1)) return undefined;
  return "V1's scheduler has no beam search (the front end makes single requests of it): take --policy v0";
}

/** What a server that shares its GPU is given; only vLLM's V1 takes it. */
export type SharedHooks = Pick<PagedOptions, 'makePool' | 'admitted'> & {
  /** The paged server itself, however it is wrapped. */
  made?: (system: PagedSystem) => void;
};

export function createServing(
  setup: SimSetup,
  workload: Workload,
  listener: RequestListener,
  { made, makePool, admitted }: SharedHooks = {},
): ServingSystem {
  const { policy, paged, rules } = setup;
  const { numBlocks, blockSize, maxModelLen, maxNumSeqs, maxNumBatchedTokens, prefixCaching } = paged;
  // The null block is V1's. The others know one kind of layer and keep every token in all of them: a block in each group.
  const usable = Math.floor((numBlocks - (setup.nullBlock ? 1 : 0)) / paged.groups.length);
  const poolTokens = usable * blockSize;
  switch (policy) {
    case 'paged': {
      const eviction = poolEvictions.find((name) => name === setup.eviction) ?? 'lru';
      const config = { ...paged, eviction: { ...paged.eviction, policy: eviction } };
      const server = (all: Workload, to: RequestListener): ServingSystem => {
        const system = new PagedSystem(config, rules, all, to, {
          accepted: acceptance(setup),
          ...(makePool ? { makePool } : {}),
          // Samples of one prompt are requests of their own inside.
          ...(admitted && all === workload ? { admitted } : {}),
        });
        made?.(system);
        return system;
      };
      return fanOut(workload, server, listener) ?? server(workload, listener);
    }
    case 'token':
      return createTokenGranular(workload, { poolTokens, maxModelLen, maxRunningRequests: maxNumSeqs }, listener);
    case 'v0':
      return createV0(workload, v0Config(setup, usable), listener);
    case 'nano': {
      const limits = { numBlocks: usable, blockSize, maxNumSeqs, maxNumBatchedTokens, maxModelLen };
      return createNano(workload, limits, listener);
    }
    case 'radix': {
      const eviction = radixEvictions.find((name) => name === setup.eviction) as RadixEviction | undefined;
      const limits = {
        poolTokens,
        maxModelLen,
        maxRunningRequests: maxNumSeqs,
        chunkedPrefillSize: paged.chunkedPrefill ? maxNumBatchedTokens : Number.POSITIVE_INFINITY,
      };
      return createRadix(workload, { ...limits, prefixCaching, ...(eviction ? { eviction } : {}) }, listener);
    }
    case 'orca-max':
    case 'orca-pow2':
    case 'orca-oracle':
    case 'slots':
    case 'best-fit':
    case 'static-batching':
      return createContiguous(policy, workload, { poolTokens, maxModelLen, maxNumSeqs }, listener);
    default:
      return assertNever(policy);
  }
}

function v0Config({ paged, cpuBlocks, seed, v0 }: SimSetup, numBlocks: number): V0Config {
  const { blockSize, maxNumSeqs, maxNumBatchedTokens, maxModelLen, policy, prefixCaching } = paged;
  return {
    numBlocks,
    numCpuBlocks: cpuBlocks,
    blockSize,
    maxNumSeqs,
    // Without chunked prefill a whole prompt has to fit into a step.
    maxNumBatchedTokens: v0.chunkedPrefill ? maxNumBatchedTokens : Math.max(maxNumBatchedTokens, maxModelLen),
    maxModelLen,
    policy,
    prefixCaching,
    seed,
    ...v0,
  };
}

/** Drafts accepted one after the other until the first is not; drawn by request and position, whatever the order of steps. */
function acceptance({ seed, acceptanceRate, paged }: SimSetup): (request: number, position: number) => number {
  const drafts = paged.spec?.tokens ?? 0;
  return (request, position) => {
    let accepted = 0;
    while (accepted < drafts && uniform(seed, request, position, accepted) < acceptanceRate) accepted++;
    return accepted;
  };
}

/** A number in [0, 1) from integers: multiply and shift for each (as in MurmurHash3's finalizer). */
function uniform(...words: readonly number[]): number {
  let hash = 0x2545f491;
  for (const word of words) {
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return (hash >>> 0) / 2 ** 32;
}
