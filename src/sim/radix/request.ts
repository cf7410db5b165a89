// One sequence inside the radix scheduler: its tokens, what of them is cached in the tree, and what it holds beyond that.
import type { SimRequest } from '../types.ts';
import { withoutEmptyRuns } from './runs.ts';
import type { RadixNode } from './tree.ts';

export interface RadixRequest {
  readonly request: number;
  /** Prompt and everything that will be generated, as runs; only the known tokens are ever read. */
  readonly tokens: readonly number[];
  readonly prompt: number;
  /** Larger is kept longer, as SGLang counts; a workload counts the other way round. */
  readonly priority: number;
  /** Salt and LoRA, and the root of the tree that they have. */
  readonly extra: string;
  readonly root: RadixNode;
  /** Generated tokens at which it has to end (max_new_tokens), and at which the model ends it: no scheduler reads the latter. */
  readonly maxNew: number;
  readonly finalOutput: number;
  /** Runs the prompt once for the samples that follow, so that they find it cached. */
  readonly warmsUp: boolean;
  output: number;
  /** Tokens found in the cache by the last match, and the node they end in, which is locked while the request runs. */
  prefix: number;
  node: RadixNode;
  /** Leading tokens whose slots the tree owns; tokens whose KV is there, this step's included. */
  owned: number;
  committed: number;
  /** Tokens of the prefill step being computed, and whether more of the prompt follow. */
  extend: number;
  chunked: boolean;
  ended: boolean;
}

export interface NewRequest {
  readonly index: number;
  readonly request: SimRequest;
  readonly sample: number;
  readonly extra: string;
  readonly root: RadixNode;
  readonly maxNew: number;
  readonly warmsUp: boolean;
}

export function radixRequest({ index, request, sample, extra, root, maxNew, warmsUp }: NewRequest): RadixRequest {
  const outputBase = request.outputBase + sample * request.maxTokens;
  // Further samples generate something else than what a workload states.
  const stated = sample === 0 ? request.output : undefined;
  return {
    request: index,
    tokens: withoutEmptyRuns([...request.prompt, ...(stated ?? [outputBase, outputBase + maxNew])]),
    prompt: request.promptTokens,
    priority: 0 - (request.priority ?? 0),
    extra,
    root,
    maxNew,
    finalOutput: warmsUp ? 0 : Math.max(1, Math.min(request.outputTokens, maxNew)),
    warmsUp,
    output: 0,
    prefix: 0,
    node: root,
    owned: 0,
    committed: 0,
    extend: 0,
    chunked: false,
    ended: false,
  };
}
