// What all kinds of test vectors share: token segments, the rules they were taken under, and the comparison of expectations.

import { resolveEngineRef } from '../../../src/load/engine.ts';
import { schedulerRules } from '../../../src/load/scheduler-rules.ts';
import type { PagedConfig, PagedRules } from '../../../src/sim/paged/config.ts';
import type { SimRequest } from '../../../src/sim/types.ts';

export type Segment = { repeat: [number, number] } | { range: [number, number] };
export type Fields = Readonly<Record<string, unknown>>;

export interface Vector {
  id: string;
  kind: string;
  config?: Fields;
  steps?: Fields[];
  cases?: Fields[];
  [key: string]: unknown;
}

/** Called for every expected field: its place, what came out, what was expected. */
export type Compare = (place: string, actual: unknown, expected: unknown) => void;

/** The vectors were taken from the source of May 2026, between these releases. */
export function vectorRules(): PagedRules {
  return schedulerRules(resolveEngineRef('vllm@0.22.1').profile);
}

export function runsOf(segments: readonly Segment[]): number[] {
  const runs: number[] = [];
  for (const segment of segments) {
    if ('range' in segment) runs.push(...segment.range);
    else for (let i = 0; i < segment.repeat[1]; i++) runs.push(segment.repeat[0], segment.repeat[0] + 1);
  }
  return runs;
}

export function requestOf(id: string, runs: number[], extras: Partial<SimRequest> = {}): SimRequest {
  let promptTokens = 0;
  for (let i = 0; i < runs.length; i += 2) promptTokens += (runs[i + 1] as number) - (runs[i] as number);
  const unlimited = 1 << 20;
  return {
    id,
    arrival: 0,
    prompt: runs,
    promptTokens,
    outputTokens: unlimited,
    maxTokens: unlimited,
    outputBase: 0,
    output: [],
    ...extras,
  };
}

/** The configuration of a vector in the simulator's words. */
export function configOf(fields: Fields): PagedConfig {
  const groups = (fields.groups as Fields[] | undefined) ?? [{ type: 'full', block_size: fields.block_size }];
  const tokens = (fields.max_num_batched_tokens as number | undefined) ?? 8192;
  const first = groups[0] as Fields;
  return {
    numBlocks: fields.num_blocks as number,
    blockSize: (fields.block_size ?? first.block_size) as number,
    groups: groups.map((group) => ({
      type: group.type === 'chunked_local' ? 'chunked' : (group.type as 'full'),
      blockSize: group.block_size as number,
      ...(group.window === undefined ? {} : { window: group.window as number }),
      ...(group.chunk === undefined ? {} : { chunk: group.chunk as number }),
    })),
    maxNumSeqs: (fields.max_num_seqs as number | undefined) ?? 1024,
    maxNumBatchedTokens: tokens,
    maxModelLen: (fields.max_model_len as number | null | undefined) ?? tokens,
    policy: fields.policy === 'priority' ? 'priority' : 'fcfs',
    longPrefillTokenThreshold: (fields.long_prefill_token_threshold as number | undefined) ?? 0,
    chunkedPrefill: fields.chunked_prefill !== false,
    prefixCaching: fields.prefix_caching !== false,
    reserveFullPrompt: fields.reserve_full_prompt === true,
    ...(fields.eagle === true ? { spec: { method: 'eagle', tokens: 0 } } : {}),
  };
}
