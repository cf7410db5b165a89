// A workload in a few figures: how many requests, how long, how far apart. For the line that a simulation opens with.
import { thousands } from '../../numbers.ts';
import type { Workload } from '../types.ts';

export interface WorkloadFigures {
  requests: number;
  meanPromptTokens: number;
  meanOutputTokens: number;
  maxPromptTokens: number;
  maxOutputTokens: number;
  promptTokens: number;
  outputTokens: number;
  /** From the first to the last arrival; 0 in a closed loop. */
  spanSeconds: number;
  concurrency: number | null;
}

export function workloadFigures({ requests, concurrency }: Workload): WorkloadFigures {
  let prompt = 0;
  let output = 0;
  let maxPrompt = 0;
  let maxOutput = 0;
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const { promptTokens, outputTokens, arrival } of requests) {
    prompt += promptTokens;
    output += outputTokens;
    if (promptTokens > maxPrompt) maxPrompt = promptTokens;
    if (outputTokens > maxOutput) maxOutput = outputTokens;
    if (arrival < first) first = arrival;
    if (arrival > last) last = arrival;
  }
  const count = Math.max(1, requests.length);
  return {
    requests: requests.length,
    meanPromptTokens: prompt / count,
    meanOutputTokens: output / count,
    maxPromptTokens: maxPrompt,
    maxOutputTokens: maxOutput,
    promptTokens: prompt,
    outputTokens: output,
    spanSeconds: concurrency === undefined && requests.length > 0 ? last - first : 0,
    concurrency: concurrency ?? null,
  };
}

/** "Azure LLM inference trace: 19,366 requests in 58 min 22 s, mean 1154.7 in and 211.1 out". */
export function workloadLine(title: string, figures: WorkloadFigures): string {
  const { requests, concurrency, spanSeconds, meanPromptTokens, meanOutputTokens } = figures;
  const when =
    concurrency !== null
      ? `, ${thousands(concurrency)} at a time`
      : spanSeconds > 0
        ? ` in ${duration(spanSeconds)}`
        : ', all at once';
  const means = `mean ${meanPromptTokens.toFixed(1)} in and ${meanOutputTokens.toFixed(1)} out`;
  return `${title}: ${thousands(requests)} request${requests === 1 ? '' : 's'}${when}, ${means}`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
