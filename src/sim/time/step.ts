// The time of one step: a roofline over the parts of a forward pass, with launches and messages between ranks on top. It knows
// sums of work and effective rates, no scheduler and no engine; what a coefficient means and where it comes from is in types.ts and
// coefficients.ts. Checked against timed kernels and whole measured runs (test/unit/time).
import type { ForwardWork, MatrixWork } from '../../accounting/work.ts';
import { emptyWork } from '../step-work.ts';
import type { StepWork } from '../types.ts';
import type { Drafter } from './drafter.ts';
import { contextOf } from './spans.ts';
import { type Coefficients, type StepBound, type StepBreakdown, type StepTimeOptions, stepBounds } from './types.ts';

export interface StepLaw {
  forward: ForwardWork;
  options: StepTimeOptions;
  coefficients: Coefficients;
  /** Tokens of the largest captured graph; 0 without graphs. */
  largestGraph: number;
  drafter?: Drafter | undefined;
}

/**
 * One step of one pipeline stage. `tokens`: with the padding of a captured graph; `batchTokens`: those of all ranks that share the
 * experts. The device runs part after part; the host launches ahead of it and sets the time where it is slower.
 */
export function stepBreakdown(
  law: StepLaw,
  work: Readonly<StepWork>,
  { tokens, batchTokens }: { tokens: number; batchTokens: number },
): StepBreakdown {
  const { forward, coefficients: c, options } = law;
  const share = 1 / options.pipelineParallelSize;
  const roof: Roof = { memory: 0, compute: 0 };
  const dense = share * denseSeconds(forward.dense, tokens, c, roof);
  const experts = share * expertSeconds(law, batchTokens, roof);
  const attention = share * attentionSeconds(law, work, roof);
  const head = share * headSeconds(law, work.rows, roof);
  const elementwise = (share * tokens * forward.elementwiseBytes) / c.elementwiseRate;
  const communication = share * communicationSeconds(law, tokens, batchTokens);
  const latency = share * (forward.layers * c.layerSeconds + forward.expertLayers * c.expertLayerSeconds);
  const draft = draftSeconds(law, work);
  const device = dense + experts + attention + head + elementwise + communication + latency + draft;
  const host = share * launchSeconds(law, work, tokens);
  const transfer = (work.transferTokens * forward.kvBytesPerToken + (options.cpuOffloadBytes ?? 0)) / c.hostRate;
  const agreement = batchTokens > tokens ? c.rankSyncSeconds : 0;
  const between = c.launchSeconds + work.sequences * c.sequenceSeconds + agreement;
  const overhead = between + latency + Math.max(0, host - device);
  return {
    dense,
    experts,
    attention,
    elementwise,
    head,
    communication,
    draft,
    transfer,
    overhead,
    device,
    total: transfer + between + Math.max(device, host),
    bound: boundOf({
      compute: share * roof.compute,
      bandwidth: share * roof.memory + elementwise,
      network: communication,
      PCIe: transfer,
      overhead,
    }),
  };
}

function boundOf(seconds: Readonly<Record<StepBound, number>>): StepBound {
  let most: StepBound = 'compute';
  for (const bound of stepBounds) if (seconds[bound] > seconds[most]) most = bound;
  return most;
}

/** Sums over the parts of a step, to say what it is bound by. */
interface Roof {
  memory: number;
  compute: number;
}

/**
 * Memory traffic and arithmetic overlap, but not fully where both take about as long: the root of the squares is within 10 %
 * of most timed matrix products of 1 to 2048 tokens on five cards, 25 % of all (the maximum alone is up to 48 % low at the ridge).
 */
function combine(memory: number, compute: number, roof: Roof): number {
  roof.memory += memory;
  roof.compute += compute;
  return Math.sqrt(memory * memory + compute * compute);
}

/** Weights are read once; 2 FLOPs per weight and token. */
function denseSeconds(matrix: MatrixWork, tokens: number, c: Coefficients, roof: Roof): number {
  return combine(matrix.bytes / c.weightRate, matrixCompute(matrix, tokens, c), roof);
}

function matrixCompute({ plainParameters, quantizedParameters }: MatrixWork, tokens: number, c: Coefficients): number {
  return 2 * tokens * (plainParameters / c.computeRate + quantizedParameters / c.quantizedComputeRate);
}

/**
 * Experts touched by n tokens that choose k of E independently: E (1 - (1 - k/E)^n). Ranks that share them hold 1/ranks of each layer
 * (whole experts or slices), and compute the tokens of all ranks with it.
 */
function expertSeconds({ forward, options, coefficients: c }: StepLaw, batchTokens: number, roof: Roof): number {
  const ranks = options.tensorParallelSize * options.dataParallelSize;
  let memory = 0;
  let compute = 0;
  for (const group of forward.experts) {
    const { layers, experts, perToken, bytesPerExpert, parametersPerExpert } = group;
    const touched = experts * (1 - (1 - Math.min(1, perToken / experts)) ** batchTokens);
    const rate = (group.quantized ? c.quantizedComputeRate : c.computeRate) * c.expertShare;
    memory += (layers * touched * bytesPerExpert) / ranks / c.weightRate;
    compute += (layers * 2 * batchTokens * perToken * parametersPerExpert) / ranks / rate;
  }
  return combine(memory, compute, roof);
}

/**
 * Decode reads the context's K and V, prefill computes against it. Where not every sequence has a single query (prefill beside it, drafts
 * to verify), kernels that do not pack query heads put each of a decoding sequence into a tile of its own, all of whose rows are
 * computed. Recurrent states are read and written once per sequence.
 */
function attentionSeconds({ forward, coefficients: c }: StepLaw, work: Readonly<StepWork>, roof: Roof): number {
  const decoding = work.sequences - work.prefillSequences;
  const isUniform = work.prefillSequences === 0 && work.tokens <= decoding;
  const tileRows = isUniform ? 1 : Math.max(1, c.mixedTileRows);
  let total = 0;
  for (const group of forward.attention) {
    const { decodeContext, prefillAttention } = contextOf(work, group);
    const rows = group.ownDecode ? 1 : tileRows;
    const memory = (group.layers * decodeContext * group.bytesPerToken) / c.attentionRate;
    const prefill = (group.layers * prefillAttention * group.prefillFlops) / c.attentionComputeRate;
    const decode = (group.layers * decodeContext * group.decodeFlops * rows) / c.attentionComputeRate;
    roof.compute += prefill;
    total += prefill + combine(memory, decode, roof);
  }
  const states = (2 * work.sequences * forward.stateBytes) / c.attentionRate;
  const scan = (2 * work.tokens * forward.stateParameters) / c.attentionComputeRate;
  return total + combine(states, scan, roof);
}

/** The drafter's passes, one after the other: every sequence that samples gets one token in each. */
function draftSeconds(law: StepLaw, work: Readonly<StepWork>): number {
  const { drafter, coefficients: c } = law;
  const decoding = work.sequences - work.prefillSequences;
  if (!drafter || decoding <= 0) return 0;
  const own: StepLaw = { ...law, forward: drafter.forward };
  const reads = { ...emptyWork(), sequences: decoding, tokens: decoding, decodeContext: work.decodeContext };
  const roof: Roof = { memory: 0, compute: 0 };
  const pass =
    denseSeconds(drafter.forward.dense, decoding, c, roof) +
    expertSeconds(own, decoding, roof) +
    attentionSeconds(own, reads, roof) +
    headSeconds(own, decoding, roof) +
    drafter.forward.layers * c.layerSeconds;
  return drafter.passes * pass;
}

/**
 * The output head for the rows that sample, then the sampler: about 2.4 passes over float32 logits (311 us for 256 rows of 128,256 on an
 * RTX 4090).
 */
function headSeconds({ forward, coefficients: c }: StepLaw, rows: number, roof: Roof): number {
  if (rows === 0) return 0;
  const logits = (2.4 * 4 * rows * forward.vocabSize) / c.weightRate;
  return combine(forward.head.bytes / c.weightRate + logits, matrixCompute(forward.head, rows, c), roof);
}

/**
 * Tensor parallel: two all-reduces per layer, 2 (t-1)/t of the hidden states over the link each. Ranks that share experts over data
 * parallelism gather every rank's hidden states before the experts and reduce-scatter them after (all2all_backend
 * allgather_reducescatter, the default of vLLM 0.11 to 0.33), each moving the other ranks' share. Pipeline stages send hidden states on.
 */
function communicationSeconds(
  { forward, options, coefficients: c }: StepLaw,
  tokens: number,
  batchTokens: number,
): number {
  const { tensorParallelSize: tp, dataParallelSize: dp, pipelineParallelSize: pp } = options;
  let seconds = 0;
  if (tp > 1) {
    const bytes = (2 * (tp - 1) * tokens * forward.hiddenBytes) / tp;
    seconds += 2 * forward.layers * (c.tensorLink.seconds + bytes / c.tensorLink.rate);
  }
  if (dp > 1 && forward.expertLayers > 0) {
    const bytes = batchTokens * (1 - 1 / dp) * forward.hiddenBytes;
    seconds += 2 * forward.expertLayers * (c.expertLink.seconds + bytes / c.expertLink.rate);
  }
  if (pp > 1) seconds += pp * (c.stageLink.seconds + (tokens * forward.hiddenBytes) / c.stageLink.rate);
  return seconds;
}

/** The host launches a step ahead of the device: whole from a captured graph, in pieces around attention, or kernel by kernel. */
function launchSeconds(
  { forward, options, coefficients: c, largestGraph }: StepLaw,
  work: Readonly<StepWork>,
  tokens: number,
): number {
  const { cudagraphMode } = options;
  if (tokens > largestGraph) return forward.layers * c.eagerLayerSeconds;
  const isDecode = work.prefillSequences === 0;
  const isWhole = cudagraphMode === 'FULL' || (isDecode && cudagraphMode.startsWith('FULL'));
  if (isWhole) return 0;
  const isPieces = cudagraphMode === 'PIECEWISE' || cudagraphMode === 'FULL_AND_PIECEWISE';
  return forward.layers * (isPieces ? c.piecewiseLayerSeconds : c.eagerLayerSeconds);
}
