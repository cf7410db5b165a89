// One run as plain data, so that it can be handed to a worker thread: which policy over which pool, with which limits, rules and
// step times. What turns a command line and a plan into it is not known here.
import type { GpuSpec } from '../spec/gpu.ts';
import type { ModelSpec } from '../spec/model.ts';
import type { NodeSpec } from '../spec/node.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';
import type { PagedConfig, PagedRules } from './paged/config.ts';
import type { Policy } from './policies.ts';
import type { StepTimeOptions } from './time/index.ts';
import type { V0Config } from './v0/index.ts';

/** What a step lasts: always the same, or the roofline of a model on a GPU. */
export type StepTimeSetup =
  | { kind: 'fixed'; seconds: number }
  | {
      kind: 'model';
      spec: ModelSpec;
      gpu: GpuSpec;
      node?: NodeSpec | undefined;
      scheme?: QuantizationScheme;
      draft?: { spec: ModelSpec; scheme?: QuantizationScheme };
      options: StepTimeOptions;
    };

export interface SimSetup {
  policy: Policy;
  /** Order in which cached blocks are given up. */
  eviction: string;
  seed: number;
  /** The pool and the limits, as vLLM's V1 engine has them; other policies take from it what they know. */
  paged: PagedConfig;
  rules: PagedRules;
  /** Blocks of host memory that preempted sequences are swapped to (V0). */
  cpuBlocks: number;
  /** What V0 alone has: chunked prefill only when asked for, and the rules of its releases. */
  v0: Pick<
    V0Config,
    'chunkedPrefill' | 'sequenceGroups' | 'swapKeepsSharing' | 'rememberHits' | 'finishingPrefillsFirst'
  >;
  /** The engine takes one block of the pool for itself (V1). */
  nullBlock: boolean;
  /** Replicas with a pool like this each; a balancer spreads the requests. */
  replicas: number;
  /** Share of the draft tokens that the model accepts. */
  acceptanceRate: number;
  bytesPerBlock: number | null;
  time: StepTimeSetup;
}
