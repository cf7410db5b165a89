// Prefill and decode on servers of their own (vLLM's docs/features/disagg_prefill.md): two pools that are planned like any server, the KV
// cache of every prompt sent from one to the other, and the same GPUs with every server doing both to compare with. Memory figures are
// those of the plans; rates, times and the verdict are estimates. What it does not know: uneven prompts, prefix hits, a proxy's policy.
import { type GroupLink, gpusWithoutNetwork, nvlinkDomain, transferLink } from '../../accounting/link.ts';
import { inputError } from '../../diagnostics.ts';
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { sum } from '../../units.ts';
import type { PlanRequest } from '../request.ts';
import { option } from './parse.ts';
import {
  decodeRate,
  decodeSeconds,
  decodingAt,
  mixedRates,
  mixedRatesAt,
  prefillRate,
  prefillSeconds,
  type Server,
  type ServerShape,
  serverOf,
  waitSeconds,
} from './rates.ts';
import type { DisaggregateAsked, DisaggregationPlan, PoolPlan, ServingFigures } from './types.ts';
import { verdictOf } from './verdict.ts';

export interface DisaggregateInput {
  asked: DisaggregateAsked;
  request: PlanRequest;
  /** GPUs that were named; 1: as many as it takes. */
  count: number;
  plan: (request: PlanRequest) => VllmPlanned;
  /** The command that starts a server of this request; pool 0 prefills, pool 1 decodes. */
  commandOf: (request: PlanRequest, pool: 0 | 1) => string;
  connector: string;
}

/** Throws InputError (VRAM179) where GPUs or layout do not allow it or speeds are not known. */
export function disaggregate(input: DisaggregateInput): DisaggregationPlan {
  const { asked, request, plan } = input;
  const ranks = ranksOf(request);
  const first = plan(request);
  const shape = shapeOf(asked, request, first);
  const alike = request.gpus.every((gpu) => gpu === request.gpus[0]);
  const requests = (prefill: number): [PlanRequest, PlanRequest] => {
    const from = alike ? 0 : prefill * ranks;
    return [request, from === 0 ? request : { ...request, gpus: request.gpus.slice(from) }];
  };
  const serversOf = ([a, b]: [PlanRequest, PlanRequest]): [Server, Server] => [
    serverOrThrow(a === request ? first : plan(a), a, shape),
    serverOrThrow(b === request ? first : plan(b), b, shape),
  ];
  if (!asked.servers && !alike) throw refused('unequal GPUs need prefill=N,decode=M: the first of them prefill');
  const split = asked.servers ?? balanced(...serversOf(requests(0)), serversThatFit(input.count, ranks));
  const needed = (split.prefill + split.decode) * ranks;
  if (input.count > 1 && needed > input.count)
    throw refused(
      `${split.prefill} + ${split.decode} servers of ${ranks} GPUs need ${needed}, ${input.count} are given`,
    );
  const pools = requests(split.prefill);
  return figuresOf({ ...input, shape, ranks, pools, servers: serversOf(pools), split });
}

interface Figures extends DisaggregateInput {
  shape: ServerShape;
  ranks: number;
  pools: [PlanRequest, PlanRequest];
  servers: [Server, Server];
  split: { prefill: number; decode: number };
}

function figuresOf(figures: Figures): DisaggregationPlan {
  const { asked, shape, ranks, pools, servers, split, commandOf, connector } = figures;
  const [prefiller, decoder] = servers;
  const rates = { prefill: split.prefill * prefillRate(prefiller), decode: split.decode * decodeRate(decoder) };
  const transfer = transferOf(figures);
  const sent = (split.prefill * transfer.link.bytesPerSecond) / transfer.bytes;
  const most = Math.min(rates.prefill, rates.decode, sent);
  const both = aggregatedRate(figures);
  const rate = asked.requestsPerSecond ?? 0.7 * Math.min(most, both);
  const pool = (index: 0 | 1): PoolPlan => {
    const { planned, capacity } = servers[index];
    const own = index === 0 ? rates.prefill : rates.decode;
    return {
      servers: index === 0 ? split.prefill : split.decode,
      gpu: pools[index].gpus[0]!.id,
      gpusPerServer: ranks,
      fits: planned.plan.verdict.fits,
      kvTokens: planned.plan.kvCache.tokens,
      sequences: capacity,
      requestsPerSecond: own,
      utilization: rate / own,
      command: commandOf(pools[index], index),
    };
  };
  const disaggregated: ServingFigures =
    rate < most ? { requestsPerSecond: most, ...timesOf(figures, rate, transfer.seconds) } : unsustained(most);
  const aggregated = aggregatedFigures(figures, rate, both);
  return {
    connector,
    ...shape,
    requestsPerSecond: rate,
    prefill: pool(0),
    decode: pool(1),
    transfer: {
      bytesPerPrompt: transfer.bytes,
      link: transfer.link.kind,
      bytesPerSecond: transfer.link.bytesPerSecond,
      seconds: transfer.seconds,
      source: transfer.link.source,
    },
    balance: balanceOf(figures),
    disaggregated,
    aggregated,
    ...verdictOf(disaggregated, aggregated, bottleneckOf({ ...rates, sent })),
    uncertaintyShare: servers.some(({ time }) => time.estimate !== 'fitted') ? 0.4 : 0.3,
    assumptions: assumptionsOf(figures),
  };
}

function bottleneckOf({ prefill, decode, sent }: { prefill: number; decode: number; sent: number }): string {
  if (sent <= Math.min(prefill, decode)) return 'the transfer of KV caches';
  return prefill <= decode ? 'the servers that prefill' : 'the servers that decode';
}

/** Queue and prefill, the transfer, the first step of decoding; then steps of as many sequences as the rate keeps decoding. */
function timesOf(
  { servers: [prefiller, decoder], split }: Figures,
  rate: number,
  transferSeconds: number,
): Pick<ServingFigures, 'ttftSeconds' | 'tpotSeconds'> {
  const alone = prefillSeconds(prefiller);
  const wait = waitSeconds(alone, split.prefill, rate / (split.prefill * prefillRate(prefiller)));
  const step = decodeSeconds(decoder, Math.max(1, decodingAt(decoder, rate / split.decode)));
  return { ttftSeconds: wait + alone + transferSeconds + step, tpotSeconds: step };
}

/** What the same GPUs do with every server doing both, at most. */
function aggregatedRate({ servers, split }: Figures): number {
  const [a, b] = servers.map((server) => mixedRates(server, server.capacity).requestsPerSecond) as [number, number];
  return split.prefill * a + split.decode * b;
}

/** Requests go where there is room: each server gets its share of the rate. */
function aggregatedFigures({ servers, split }: Figures, rate: number, most: number): ServingFigures {
  const counts = [split.prefill, split.decode];
  const parts = servers.map((server, i) => {
    const own = mixedRates(server, server.capacity).requestsPerSecond;
    return { times: mixedRatesAt(server, (rate * own) / most), share: (own * counts[i]!) / most };
  });
  if (rate >= most || parts.some(({ times }) => !times)) return unsustained(most);
  const mean = (of: 'ttftSeconds' | 'tpotSeconds'): number =>
    parts.reduce((sum, { times, share }) => sum + times![of] * share, 0);
  return { requestsPerSecond: most, ttftSeconds: mean('ttftSeconds'), tpotSeconds: mean('tpotSeconds') };
}

function unsustained(requestsPerSecond: number): ServingFigures {
  return { requestsPerSecond, ttftSeconds: null, tpotSeconds: null };
}

/** All blocks of a prompt, on every rank; the decoding server pulls them when the prompt is done. */
function transferOf({ pools, servers, split, ranks, shape }: Figures): {
  bytes: number;
  link: GroupLink;
  seconds: number;
} {
  const { planned } = servers[0];
  const { stageBytesPerBlock } = planned.kv;
  const bytes = planned.blocksAt(shape.promptTokens) * sum(stageBytesPerBlock) * (ranks / stageBytesPerBlock.length);
  const [from, to] = pools.map(({ gpus, nodes }) => ({ gpu: gpus[0]!, node: nodes?.[0], ranks })) as [End, End];
  const total = (split.prefill + split.decode) * ranks;
  // Boards with switches hold GPUs of one kind.
  const onBoards = [from, to].some(({ gpu, node }) => nvlinkDomain(gpu, node) > 4) && from.gpu.id !== to.gpu.id;
  const oneNode = (pools[0].nodes?.length ?? 1) === 1 && !onBoards;
  const together = oneNode && total <= gpusWithoutNetwork(from.gpu, from.node);
  const link = transferLink({ from, to, together });
  return { bytes, link, seconds: link.latencySeconds + bytes / link.bytesPerSecond };
}

type End = Parameters<typeof transferLink>[0]['from'];

function balanceOf({ servers, split }: Figures): DisaggregationPlan['balance'] {
  const [prefiller, decoder] = servers;
  const best = balanced(prefiller, decoder, split.prefill + split.decode);
  const requestsPerSecond = Math.min(best.prefill * prefillRate(prefiller), best.decode * decodeRate(decoder));
  return { ...best, requestsPerSecond, ratio: decodeRate(decoder) / prefillRate(prefiller) };
}

/** The split of so many servers whose slower pool is fastest. */
function balanced(prefiller: Server, decoder: Server, servers: number): { prefill: number; decode: number } {
  const [p, d] = [prefillRate(prefiller), decodeRate(decoder)];
  let best = 1;
  for (let n = 2; n < servers; n++)
    if (Math.min(n * p, (servers - n) * d) > Math.min(best * p, (servers - best) * d)) best = n;
  return { prefill: best, decode: Math.max(1, servers - best) };
}

function serversThatFit(count: number, ranks: number): number {
  const servers = Math.floor(count / ranks);
  if (servers < 2) throw refused(`two servers of ${ranks} GPUs need ${2 * ranks}, ${count} are given`);
  return servers;
}

function ranksOf({ options }: PlanRequest): number {
  if (options.dataParallelSize > 1)
    throw refused('every server is a replica of its own: leave out --data-parallel-size');
  return options.tensorParallelSize * options.pipelineParallelSize;
}

/** As asked, else the requirement with a quarter of it written, at most 256 tokens; else a usual chat turn. */
function shapeOf(asked: DisaggregateAsked, { context }: PlanRequest, { resolved }: VllmPlanned): ServerShape {
  const total = Math.min(context ?? 1024 + 256, resolved.maxModelLen);
  const outputTokens = asked.outputTokens ?? Math.max(1, Math.min(256, Math.floor(total / 4)));
  const promptTokens = asked.promptTokens ?? Math.max(1, total - outputTokens);
  if (promptTokens + outputTokens > resolved.maxModelLen)
    throw refused(`${promptTokens} + ${outputTokens} tokens are more than the ${resolved.maxModelLen} of a sequence`);
  return { promptTokens, outputTokens };
}

function serverOrThrow(planned: VllmPlanned, request: PlanRequest, shape: ServerShape): Server {
  const server = serverOf(planned, request, shape);
  if (server) return server;
  const { verdict } = planned.plan;
  const gpu = request.gpus[0]!.id;
  throw refused(
    verdict.fits
      ? `the speed of ${gpu} is not known, or not one sequence fits`
      : `a server does not fit on ${gpu}: ${verdict.reason}`,
  );
}

function refused(message: string): Error {
  return inputError('VRAM179', `${option}: ${message}`, { path: option });
}

function assumptionsOf({ asked, servers }: Figures): string[] {
  const assumptions = [
    'prompts and answers all of one length, no prefix shared',
    'the transfer begins when a prompt is done',
  ];
  if (asked.requestsPerSecond === undefined) assumptions.push('compared at 70 % of what the weaker of both sustains');
  if (servers.some(({ planned }) => planned.resolved.speculativeTokens > 0)) assumptions.push('no tokens are drafted');
  return assumptions;
}
