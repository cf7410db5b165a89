// Words that every form of a simulation shares: durations, what was simulated, names of the memory shares and of the figures.
import { gib, parameters, percent, thousands } from '../numbers.ts';
import {
  differencesOf,
  type MaxRate,
  type NamedRun,
  type SimulateInputEcho,
  type SimulateOutput,
} from '../plan/simulate-output.ts';
import type { RunResult, SharesResult } from '../sim/result.ts';
import type { ShareId } from './paint.ts';
import { visible } from './text.ts';

export const shareNames: Readonly<Record<ShareId, string>> = {
  tokenStates: 'token states',
  reserved: 'reserved',
  internalFragmentation: 'internal fragmentation',
  externalFragmentation: 'external fragmentation',
  free: 'free or cached',
};
export const shareGlyphs: Readonly<Record<ShareId, string>> = {
  tokenStates: '█',
  reserved: '▒',
  internalFragmentation: '░',
  externalFragmentation: '×',
  free: '·',
};
export const shareIds = Object.keys(shareNames) as ShareId[];

export const latencyNames = [
  ['ttftSeconds', 'TTFT', 'to the first token'],
  ['tpotSeconds', 'TPOT', 'per output token after it'],
  ['e2eSeconds', 'end to end', ''],
] as const;

/** 0.43 ms, 12.3 ms, 4.56 s, 1,234 s, 12.3 h. */
export function seconds(value: number): string {
  if (value === 0) return '0 s';
  if (value < 0.1) return `${significant(value * 1e3)} ms`;
  if (value < 1) return `${(value * 1e3).toFixed(0)} ms`;
  if (value < 36_000) return value < 1000 ? `${significant(value)} s` : `${thousands(value)} s`;
  return `${significant(value / 3600)} h`;
}

/** 45 s, 58 min, 2.5 h. */
export function span(value: number): string {
  if (value < 120) return seconds(value);
  if (value < 7200) return `${significant(value / 60)} min`;
  return `${significant(value / 3600)} h`;
}

function significant(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** 12,345 or 22.4M. */
export function tokens(count: number): string {
  return count >= 1e6 ? `${(count / 1e6).toFixed(count >= 1e8 ? 0 : 1)}M` : thousands(count);
}

export function rate(value: number): string {
  if (value > 0 && value < 0.01) return String(Number(value.toPrecision(2)));
  return value >= 1000 ? thousands(value) : significant(value);
}

/** "llama-3.1-8b, 8.03B, bfloat16"; what stands in for a model when there is none. */
export function modelText({ model }: SimulateInputEcho): string {
  if (!model) return 'no model (blocks only)';
  return visible(`${model.name}, ${parameters(model.parameters)}, ${model.scheme}`);
}

export function placeText({ gpu, engine }: SimulateInputEcho): string {
  const version = engine.version === engine.release ? engine.version : `${engine.version} (by ${engine.release})`;
  const program = `${engine.name} ${version}`;
  if (!gpu) return program;
  const device = gpu.count > 1 ? `${gpu.count}x ${gpu.name}` : gpu.name;
  return visible(`${device} with ${program}`);
}

/** "azure-conv.csv at 2x: 19,366 requests, 22.4M prompt and 4.1M output tokens over 29 min". */
export function workloadText({ workload }: SimulateInputEcho): string {
  const { requests, promptTokens, outputTokens, spanSeconds, concurrency } = workload;
  const at = workload.rate === null ? '' : ` at ${workload.rate}`;
  const arrivals =
    concurrency !== null
      ? `, ${thousands(concurrency)} at a time`
      : spanSeconds > 0
        ? ` over ${span(spanSeconds)}`
        : ', all at once';
  return visible(
    `${workload.name}${at}: ${requestsText(requests)}, ${tokens(promptTokens)} prompt and ${tokens(outputTokens)} output tokens${arrivals}`,
  );
}

export function poolText({ pool }: RunResult, { poolSource, parallel }: SimulateInputEcho): string {
  const bytes = pool.bytesPerBlock === null ? '' : `, ${gib(pool.numBlocks * pool.bytesPerBlock)}`;
  const source = { plan: ' (from the plan)', option: ' (as given)', 'run-config': ' (run configuration)', none: '' };
  const size = pool.blockSize === 1 ? 'token slots' : `blocks of ${pool.blockSize} tokens`;
  const replicas = (parallel?.dp ?? 1) > 1 ? ` on ${thousands(parallel!.dp)} replicas` : '';
  return `${thousands(pool.numBlocks)} ${size}${bytes}${replicas}${source[poolSource]}`;
}

/** "1 request", "19,366 requests". */
export function requestsText(count: number): string {
  return `${thousands(count)} ${count === 1 ? 'request' : 'requests'}`;
}

/** Names of requests come from files: shown harmless, and cut. */
export function idText(id: string): string {
  const shown = visible(id.slice(0, longestId + 1));
  return shown.length > longestId ? `${shown.slice(0, longestId)}…` : shown;
}

const longestId = 60;

/** "19,366 of 19,366". */
export function servedText({ requests }: RunResult): string {
  return `${thousands(requests.finished)} of ${thousands(requests.total)}`;
}

/** Share of the blocks in use, averaged over time and at most. */
export function usedText({ memory }: RunResult): string {
  return `${percent(memory.meanUtilization)}, peak ${percent(memory.peakUtilization)}`;
}

export function throughputText({ throughput }: RunResult): string {
  return `${rate(throughput.requestsPerSecond)} requests/s, ${rate(throughput.outputTokensPerSecond)} output tokens/s`;
}

/** What is said of each latency, in this order. */
export const latencyHeads = ['mean', 'p50', 'p90', 'p99'] as const;

export function latencyTexts({ latency }: RunResult, figure: (typeof latencyNames)[number][0]): string[] {
  return latencyHeads.map((statistic) => seconds(latency[figure][statistic]));
}

export function titleOf({ input, result }: SimulateOutput): string {
  if ('curve' in result)
    return `Prefix cache: ${visible(input.workload.name)}, ${requestsText(input.workload.requests)}`;
  const what = input.model ? visible(input.model.name) : 'KV cache';
  return `${what} on ${placeText(input)}: ${visible(input.workload.name)}`;
}

/** Sums to 100 % in print as well as it can: each share rounded by itself. */
export function sharePercent(shares: SharesResult, id: ShareId): string {
  return percent(shares[id]);
}

export function prefixText({ prefixCache, requests }: RunResult): string {
  const { queriedTokens, hitTokens, hitRate, evictions } = prefixCache;
  if (queriedTokens === 0) return requests.finished > 0 ? 'off' : 'nothing was looked up';
  return `${percent(hitRate)} of the tokens looked up at admission were cached (${tokens(hitTokens)} of ${tokens(queriedTokens)}), ${thousands(evictions)} cached ${evictions === 1 ? 'block' : 'blocks'} evicted`;
}

/** Undefined where no block left the GPU. */
export function offloadText({ offload }: RunResult): string | undefined {
  if (offload === undefined) return undefined;
  const { storedBlocks, loadedBlocks, diskReadBlocks, diskWrittenBlocks } = offload;
  const host = `${thousands(storedBlocks)} blocks to host memory, ${thousands(loadedBlocks)} back`;
  if (diskWrittenBlocks === 0) return host;
  return `${host}; ${thousands(diskWrittenBlocks)} to disk, ${thousands(diskReadBlocks)} back`;
}

/** Undefined where nothing was drafted. */
export function draftText({ speculation }: RunResult): string | undefined {
  if (speculation === undefined) return undefined;
  const { draftTokens, acceptedTokens } = speculation;
  return `${tokens(acceptedTokens)} of ${tokens(draftTokens)} drafted tokens accepted (${percent(acceptedTokens / draftTokens)})`;
}

export function preemptionText({ preemptions }: RunResult): string {
  const { recompute, swap, recomputedTokens, swappedBlocks } = preemptions;
  if (recompute + swap === 0) return 'none';
  const parts = [];
  if (recompute > 0) parts.push(`${thousands(recompute)} by recompute, ${tokens(recomputedTokens)} tokens thrown away`);
  if (swap > 0) parts.push(`${thousands(swap)} by swap, ${thousands(swappedBlocks)} blocks moved`);
  return parts.join('; ');
}

/** Undefined where nothing was ever shared by writing sequences. */
export function sharingText({ copyOnWrite }: RunResult): string | undefined {
  const { copies, sharedBlocksPeak, savedBlocksShare } = copyOnWrite;
  if (copies === 0 && savedBlocksShare === 0) return undefined;
  return `saves ${percent(savedBlocksShare)} of the blocks; at most ${thousands(sharedBlocksPeak)} shared, ${thousands(copies)} copied on write`;
}

/** 1.5x, 0.000244x. */
export function scaleText(scale: number): string {
  return `${scale >= 100 ? Math.round(scale) : Number(scale.toPrecision(3))}x`;
}

/** What a search for the highest rate has found. */
export function maxRateText({ slo, scale, requestsPerSecond, failsAtScale, trials }: MaxRate): string {
  const objectives = slo.map(visible).join(', ');
  const at = (factor: number, perSecond: number | null): string =>
    `${scaleText(factor)} (${rate(perSecond ?? 0)} requests/s)`;
  if (scale === null) {
    const [lowest] = trials;
    const tried = lowest ? `; the lowest was ${at(lowest.scale, lowest.requestsPerSecond)}` : '';
    return `no rate that was tried holds ${objectives}${tried}`;
  }
  const above = failsAtScale === null ? 'no higher rate was tried' : `${scaleText(failsAtScale)} does not`;
  return `${at(scale, requestsPerSecond)} holds ${objectives}; ${above}`;
}

/** The input with the rate that a search has found: the figures of a result are those of that rate. */
export function atFoundRate({ input, result }: SimulateOutput): SimulateInputEcho {
  const scale = ('maxRate' in result ? result.maxRate?.scale : undefined) ?? 1;
  if (scale === 1) return input;
  const { workload } = input;
  const factor = scaleText(scale);
  const changed = {
    rate: workload.rate === null ? factor : `${factor} of ${workload.rate}`,
    spanSeconds: workload.spanSeconds / scale,
  };
  return { ...input, workload: { ...workload, ...changed } };
}

/** What the times rest on, in the words of the step-time model. */
export function estimateText({ latency }: RunResult): string {
  const words = visible(latency.uncertainty);
  const estimate = latency.estimate === 'fitted' ? `estimate, ${words}` : words;
  const { prefill, decode } = latency.bound ?? {};
  const bounds = [prefill ? `prefill is bound by ${prefill}` : '', decode ? `decode by ${decode}` : ''];
  return [estimate, bounds.filter((text) => text !== '').join(', ')].filter((text) => text !== '').join('; ');
}

/** "12 of 13 runs exact"; empty where nothing is expected. */
export function exactLine(runs: readonly NamedRun[]): string {
  const stated = runs.filter(({ expected }) => expected !== undefined);
  if (stated.length === 0) return '';
  const exact = stated.filter((run) => differencesOf(run).length === 0).length;
  return `${thousands(exact)} of ${thousands(stated.length)} runs exact`;
}
