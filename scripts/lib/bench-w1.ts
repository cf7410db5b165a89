// The speed workloads W1a and W1b: a generator bit for bit, the block loop, and the integers that vLLM's own code gave.

import type { PagedConfig } from '../../src/sim/paged/config.ts';
import { KvManager } from '../../src/sim/paged/kv-manager.ts';
import { Sequence } from '../../src/sim/paged/sequence.ts';
import { runConfigured } from '../../src/sim/run/run-config.ts';
import type { SimRequest, Workload } from '../../src/sim/types.ts';
import { defaultRules } from './bench-rules.ts';

/** 2,000 requests with 20 shared prefixes of 256 tokens; every token stated, so that equal lists are equal blocks. */
export function w1Requests(): SimRequest[] {
  let state = 12345;
  const draw = (): number => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return state >>> 8;
  };
  return Array.from({ length: 2000 }, (_, i) => {
    const promptTokens = 64 + (draw() % 1985);
    const outputTokens = 16 + (draw() % 497);
    const group = draw() % 20;
    const prompt: number[] = [];
    for (let j = 0; j < promptTokens; j++)
      single(prompt, j < 256 ? (group * 7919 + j * 31) % 32000 : (i * 104729 + j * 17) % 32000);
    const output: number[] = [];
    for (let k = 0; k < outputTokens; k++) single(output, (i * 65537 + k * 13) % 32000);
    const id = `w${String(i).padStart(4, '0')}`;
    return { id, arrival: 0, prompt, promptTokens, outputTokens, maxTokens: outputTokens, outputBase: 0, output };
  });
}

function single(runs: number[], token: number): void {
  runs.push(token, token + 1);
}

const base: Omit<PagedConfig, 'numBlocks'> = {
  blockSize: 16,
  maxNumSeqs: 256,
  maxNumBatchedTokens: 8192,
  maxModelLen: 8192,
  policy: 'fcfs',
  longPrefillTokenThreshold: 0,
  chunkedPrefill: true,
  prefixCaching: true,
  reserveFullPrompt: true,
  groups: [{ type: 'full' }],
};

interface BlockLoop {
  steps: number;
  newBlocks: number;
  releasedBlocks: number;
  prefixHitTokens: number;
  peakUsedBlocks: number;
}

/** W1a: at most 64 requests at a time; prompts at once, then a token each a round. */
export function w1a(requests: readonly SimRequest[], prefixCaching: boolean): BlockLoop {
  const kv = new KvManager({ ...base, numBlocks: 16385, prefixCaching }, defaultRules());
  const result: BlockLoop = { steps: 0, newBlocks: 0, releasedBlocks: 0, prefixHitTokens: 0, peakUsedBlocks: 0 };
  let running: Sequence[] = [];
  let next = 0;
  const admit = { lookahead: 0, useHit: true, hitTokens: 0 };
  while (next < requests.length || running.length > 0) {
    while (running.length < 64 && next < requests.length) {
      const request = requests[next] as SimRequest;
      const sequence = new Sequence(next, request, next, kv.tables(request.promptTokens));
      next++;
      admit.hitTokens = kv.lookup(sequence);
      const free = kv.pool.free;
      const hitBlocks = admit.hitTokens / 16;
      if (!kv.allocate(sequence, request.promptTokens - admit.hitTokens, admit))
        throw new Error('W1a ran out of blocks');
      result.newBlocks += sequence.tables[0]!.length - hitBlocks;
      void free;
      result.prefixHitTokens += admit.hitTokens;
      sequence.computed = request.promptTokens;
      running.push(sequence);
    }
    result.steps++;
    let kept = 0;
    for (let i = 0; i < running.length; i++) {
      const sequence = running[i] as Sequence;
      sequence.known++;
      if (sequence.computed + 1 > sequence.quietUntil) {
        const held = sequence.tables[0]!.length;
        if (!kv.allocate(sequence, 1)) throw new Error('W1a ran out of blocks');
        result.newBlocks += sequence.tables[0]!.length - held;
      }
      sequence.computed++;
      if (sequence.known - sequence.prompt === sequence.request.outputTokens) {
        result.releasedBlocks += sequence.tables[0]!.length;
        kv.free(sequence);
      } else running[kept++] = sequence;
    }
    running = running.slice(0, kept);
    const used = kv.pool.used;
    if (used > result.peakUsedBlocks) result.peakUsedBlocks = used;
  }
  return result;
}

/** W1b: the same requests through the whole scheduler, a step at a time. */
export function w1b(workload: Workload, numBlocks: number): Record<string, number> {
  return runConfigured({ config: { ...base, numBlocks }, rules: defaultRules(), workload }).counters;
}
