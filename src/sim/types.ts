// What a simulation is made of: requests as a workload gives them, the system that serves them, the work of one step, and the
// state of memory after it. The clock (run/) drives any serving system through these shapes; nothing here knows an engine.

/**
 * A token list as runs of consecutive token ids: flat pairs [from, to) in order. Equal ids are equal tokens, so shared runs are
 * shared prefixes. Token ids are non-negative safe integers.
 */
export type TokenRuns = readonly number[];

/** One request of a workload. Times in seconds (steps where a step lasts 1), lengths in tokens. */
export interface SimRequest {
  readonly id: string;
  /** When it reaches the server; for a follow-up turn (`after`) the earliest such time. */
  readonly arrival: number;
  readonly prompt: TokenRuns;
  readonly promptTokens: number;
  /** Tokens that will really be generated. Only the model (the fake forward pass) reads this, never a scheduler. */
  readonly outputTokens: number;
  /** What the scheduler knows: the request's max_tokens; at least outputTokens. */
  readonly maxTokens: number;
  /** Generated token k has id outputBase + k (unique per request unless the workload says otherwise). */
  readonly outputBase: number;
  /** The generated tokens themselves, where a workload states them. */
  readonly output?: TokenRuns;
  /** Smaller first; 0 by default. */
  readonly priority?: number;
  readonly salt?: string;
  readonly lora?: number;
  /** Parallel samples of one prompt (n), or the width of a beam search. Absent: one sequence. */
  readonly samples?: number;
  readonly beamWidth?: number;
  /** Index of the request that has to finish first (the previous turn), and the pause after it. */
  readonly after?: number;
  readonly thinkSeconds?: number;
}

export interface Workload {
  readonly requests: readonly SimRequest[];
  /** Closed loop: so many unfinished requests at a time, the next arrives when one finishes. Absent: arrivals as stated. */
  readonly concurrency?: number;
}

/** What one forward pass computes; a step-time model turns it into seconds. Sums over the scheduled sequences. */
export interface StepWork {
  /** Tokens computed in this step (drafts included) and sequences they belong to. */
  tokens: number;
  sequences: number;
  /** Of these, tokens and sequences in prefill: chunks that have more than one token, or do not reach the end of the prompt. */
  prefillTokens: number;
  prefillSequences: number;
  /** Sum over decoding sequences of the context they read (tokens). */
  decodeContext: number;
  /** Sum over prefill chunks of c*k + c*c/2: c tokens of chunk behind k tokens of context. */
  prefillAttention: number;
  /** Sequences that sample a token at the end of this step (rows of the output head). */
  rows: number;
  /** KV tokens moved between the GPU and the host before the step can run (swap, offload); 0 without. */
  transferTokens: number;
  /** The work of each data-parallel rank where several step together; the sums above are then over all of them. */
  ranks?: readonly StepWork[];
  /** How long the step lasts, where the serving system knows it: replicas with steps of different length behind one clock. */
  seconds?: number;
}

/**
 * Where the KV memory is at one instant, in token slots of the pool. tokenStates + reserved + internal + external + free = pool.
 * `external` counts free slots that cannot be used although something waits for them; `free` holds what is left (for a paged pool
 * with the cached blocks that nobody uses, which count as free: they are handed out on demand).
 */
export interface MemoryShares {
  tokenStates: number;
  reserved: number;
  internal: number;
  external: number;
  free: number;
}

export interface QueueState {
  running: number;
  waiting: number;
  swapped: number;
  usedBlocks: number;
  /** Free blocks that still hold a cached prefix. */
  cachedBlocks: number;
}

/** What happens to single requests, by index into the workload; the clock adds the time. */
export interface RequestListener {
  firstToken(request: number): void;
  /** Called once per request: after its last token, or when it was aborted. */
  finished(request: number): void;
  /** Can never run (longer than the model's limit or than the whole pool): reported once, not retried. */
  rejected(request: number, reason: string): void;
  aborted?(request: number): void;
  preempted?(request: number, computedTokens: number, kind: 'recompute' | 'swap'): void;
}

/**
 * A server with its KV memory and its scheduler, step by step. The clock calls add() for what has arrived, then schedule(), then
 * complete() after the time of the step has passed. schedule() returns false when it could not schedule anything.
 */
export interface ServingSystem {
  /** Token slots of the pool, the sum of MemoryShares. */
  readonly poolTokens: number;
  /** Blocks that can be handed out, and tokens of one. */
  readonly usableBlocks: number;
  readonly blockSize: number;
  /** The work of the step that schedule() last returned true for. */
  readonly work: Readonly<StepWork>;
  /** Requests added and neither finished nor rejected. */
  readonly unfinished: number;
  /** Work goes on without an unfinished request (blocks kept until a transfer is done). */
  readonly busy?: boolean;
  readonly counters: Readonly<SystemCounters>;
  /** Steps scheduled before the output of the oldest is processed: 2 with asynchronous scheduling; absent: 1. */
  readonly stepsAhead?: number;
  /** Seconds until something arrives that the server waits for (a transfer); absent or Infinity: nothing is on its way. */
  readonly nextArrival?: number;
  /** Memory may come from outside: what finds none now waits, and is not refused for good. */
  readonly mayGrow?: boolean;
  /** It never will: the request that waits longest is refused for good. False when none waits. */
  giveUp?(): boolean;
  /** So many seconds have passed since the last call; only where steps have a duration. */
  elapse?(seconds: number): void;
  add(request: number): void;
  schedule(): boolean;
  /** Processes the output of the oldest step in flight; false when that has to wait (asynchronous scheduling runs one ahead). */
  complete(): boolean;
  /** Steps ahead in which nothing but computing happens, and one of them; the next schedule() settles them. */
  quietSteps?(): number;
  skipStep?(): void;
  memory(into: MemoryShares): void;
  queues(into: QueueState): void;
}

export interface SystemCounters {
  preemptions: number;
  swapPreemptions: number;
  /** Computed tokens thrown away by preemption, to be computed again. */
  preemptedComputedTokens: number;
  swappedBlocks: number;
  /** Prefix cache, over successful admissions. */
  queriedTokens: number;
  hitTokens: number;
  queriedBlocks: number;
  hitBlocks: number;
  /** Cached blocks handed out to somebody else, their content lost. */
  evictions: number;
  /** Blocks copied because a shared one was to be written. */
  copies: number;
  sharedBlocksPeak: number;
  /** Sum over steps of blocks saved by sharing, and of blocks that would be held without it. */
  savedBlockSteps: number;
  unsharedBlockSteps: number;
  /** KV offloading: blocks of the pool copied to the host and back; blocks of the host read from the disk and written to it. */
  storedBlocks: number;
  loadedBlocks: number;
  diskReadBlocks: number;
  diskWrittenBlocks: number;
  /** Speculative decoding: tokens drafted, and those of them that were accepted. */
  draftTokens: number;
  acceptedTokens: number;
}
