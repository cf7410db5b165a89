// Tokens per second of a planned run, an estimate with its range: decoding by the bytes that every memory has to give, prompts by the
// multiplications of the GPUs and the weights that host layers send over PCIe. Shares of the sheets' rates are data
// (presets/engines/llamacpp/speed.yaml); nothing here is fitted to a card or a model.
import { pcieBytesPerSecond } from '../../accounting/link.ts';
import { assert } from '../../assert.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { PlaceWork, SpeedWork } from './speed-work.ts';

/** [slow, likely, fast]. */
type Span = readonly [number, number, number];

interface SpeedKind {
  bandwidth: Span;
  layerSeconds: Span;
  computeShare?: Span;
}

type Kind = 'nvidia-gddr' | 'nvidia-hbm' | 'nvidia-pascal' | 'nvidia-p100' | 'apple' | 'amd' | 'other';

export interface SpeedRules {
  kinds: Readonly<Record<Kind, SpeedKind>>;
  flopsPerMultiprocessor: Readonly<Record<string, number>>;
  flopsPerMultiprocessorRange: Span;
  computeShare: Span;
  host: { bandwidthBytesPerSecond: number; bandwidth: Span; flops: Span; crossingSeconds: Span };
  pcie: { weights: Span; messageSeconds: Span; message: Span };
}

export interface SpeedInput {
  work: SpeedWork;
  gpus: readonly GpuSpec[];
  rules: SpeedRules;
  /** Sequences that decode at once. */
  sequences?: number;
  /** Tokens of a prompt, and of a physical batch. */
  promptTokens?: number;
  ubatch?: number;
  /** Host layers are multiplied on the first GPU for batches of 32 and more. */
  opOffload?: boolean;
  /** Batches pass through the GPUs one behind the other (all layers offloaded, several GPUs). */
  pipeline?: boolean;
  hostBandwidthBytesPerSecond?: number;
}

export type SpeedBound = 'memory' | 'compute' | 'PCIe' | 'host' | 'overhead';

export interface SpeedEstimate {
  tokensPerSecond: number;
  low: number;
  high: number;
  /** What most of the time goes to. */
  bound: SpeedBound;
  /** Seconds of one step (decode), of the whole prompt (prefill), by cause. */
  seconds: Readonly<Record<SpeedBound, number>>;
  confidence: 'estimated';
}

export interface Speed {
  /** Of all sequences together. */
  decode: SpeedEstimate;
  /** One prompt by itself. */
  prefill: SpeedEstimate;
  /** Assumptions that the figures rest on. */
  assumptions: string[];
}

/** Undefined where a GPU's bandwidth is not known. */
export function estimateSpeed(input: SpeedInput): Speed | undefined {
  if (input.gpus.some(({ bandwidthBytesPerSecond }) => bandwidthBytesPerSecond === undefined)) return undefined;
  const { sequences = 1, promptTokens = 512 } = input;
  const assumptions =
    input.hostBandwidthBytesPerSecond === undefined && input.work.places.some(({ place }) => place === 'cpu')
      ? [
          `host memory of ${(input.rules.host.bandwidthBytesPerSecond / 1e9).toFixed(1)} GB/s (two channels of DDR5-5600)`,
        ]
      : [];
  return {
    decode: estimate(sequences, (case_) => decodeSeconds(input, case_)),
    prefill: estimate(promptTokens, (case_) => prefillSeconds(input, case_)),
    assumptions,
  };
}

/** 0 slow, 1 likely, 2 fast. */
type Case = 0 | 1 | 2;
type Seconds = Record<SpeedBound, number>;

function estimate(tokens: number, seconds: (of: Case) => Seconds): SpeedEstimate {
  const [slow, likely, fast] = [seconds(0), seconds(1), seconds(2)];
  const rate = (parts: Seconds): number => tokens / total(parts);
  const [bound] = (Object.entries(likely) as [SpeedBound, number][]).reduce((a, b) => (b[1] > a[1] ? b : a));
  return {
    tokensPerSecond: rate(likely),
    low: rate(slow),
    high: rate(fast),
    bound,
    seconds: likely,
    confidence: 'estimated',
  };
}

function total(parts: Seconds): number {
  return Object.values(parts).reduce((sum, part) => sum + part, 0);
}

function none(): Seconds {
  return { memory: 0, compute: 0, PCIe: 0, host: 0, overhead: 0 };
}

/**
 * One step, every sequence a token: layers follow each other, so that the times of all places add up. Of the experts only the distinct
 * ones that the batch chooses are read; every sequence reads its own cache.
 */
function decodeSeconds(input: SpeedInput, of: Case): Seconds {
  const { work, sequences = 1, rules } = input;
  const parts = none();
  for (const place of work.places) {
    const bytes = passBytes(place, work, sequences) + sequences * place.cacheBytes;
    const flops = 2 * sequences * (tokenParameters(place, work) + place.attentionParameters);
    addPass(parts, place, { bytes, flops }, input, of);
  }
  addMoves(parts, input, { tokens: sequences, sampled: sequences }, of);
  parts.overhead += rules.host.crossingSeconds[of] * hostCrossings(input);
  return parts;
}

/**
 * The prompt in physical batches. A batch reads the weights once; attention sees half of the prompt on average. With operations
 * offloaded, the weights of host layers go to the first GPU for every batch and are multiplied there.
 */
function prefillSeconds(input: SpeedInput, of: Case): Seconds {
  const { work, promptTokens = 512, ubatch = 512, gpus, opOffload = true, pipeline = false } = input;
  const batches = Math.ceil(promptTokens / ubatch);
  const tokens = promptTokens / batches;
  const share = work.context > 0 ? promptTokens / 2 / work.context : 0;
  const stages: Seconds[] = [];
  for (const place of work.places) {
    const stage = none();
    const bytes = passBytes(place, work, tokens) + place.cacheBytes * Math.min(share, 1);
    const flops = 2 * tokens * (tokenParameters(place, work) + place.attentionParameters * share);
    const onGpu = place.place === 'cpu' && opOffload && tokens >= 32 && gpus.length > 0;
    addPass(stage, onGpu ? { ...place, place: 0 } : place, { bytes, flops }, input, of);
    if (onGpu)
      stage.PCIe += passBytes(place, work, tokens) / (pcieBytesPerSecond(gpus[0]!) * input.rules.pcie.weights[of]);
    stages.push(stage);
  }
  const parts = none();
  const slowest = Math.max(...stages.map(total));
  const all = stages.reduce((sum, stage) => sum + total(stage), 0);
  // Filled, a pipeline gives a batch every time its slowest stage ends.
  const overlap = pipeline && all > 0 ? (all + (batches - 1) * slowest) / (batches * all) : 1;
  for (const stage of stages) for (const cause of causes) parts[cause] += batches * stage[cause] * overlap;
  addMoves(parts, input, { tokens, sampled: 1 / batches }, of, batches);
  return parts;
}

const causes = ['memory', 'compute', 'PCIe', 'host', 'overhead'] as const;

/** Reading and multiplying overlap: the slower of the two counts, under its name. */
function addPass(
  parts: Seconds,
  { place, layers }: Pick<PlaceWork, 'place' | 'layers'>,
  { bytes, flops }: { bytes: number; flops: number },
  { gpus, rules, hostBandwidthBytesPerSecond }: SpeedInput,
  of: Case,
): void {
  if (place === 'cpu') {
    const rate = (hostBandwidthBytesPerSecond ?? rules.host.bandwidthBytesPerSecond) * rules.host.bandwidth[of];
    parts.host += Math.max(bytes / rate, flops / rules.host.flops[of]);
    return;
  }
  const gpu = gpus[place];
  assert(gpu?.bandwidthBytesPerSecond !== undefined, `no bandwidth of GPU ${place}`);
  const kind = rules.kinds[kindOf(gpu)];
  const reading = bytes / (gpu.bandwidthBytesPerSecond * kind.bandwidth[of]);
  const multiplying = flops / computeRate(gpu, rules, of);
  if (multiplying > reading) parts.compute += multiplying;
  else parts.memory += reading;
  parts.overhead += layers * kind.layerSeconds[of];
}

/** Hidden states between places, and logits to the host. */
function addMoves(
  parts: Seconds,
  { work, gpus, rules }: SpeedInput,
  { tokens, sampled }: { tokens: number; sampled: number },
  of: Case,
  times = 1,
): void {
  const gpu = gpus[0];
  if (!gpu || gpu.integrated) return;
  const rate = pcieBytesPerSecond(gpu) * rules.pcie.message[of];
  const hidden = work.crossings * (rules.pcie.messageSeconds[of] + (4 * work.embd * tokens) / rate);
  parts.PCIe += times * (hidden + (4 * work.vocab * sampled) / rate);
}

/** Crossings to or from the CPU; between GPUs nothing waits for threads. */
function hostCrossings({ work, gpus }: SpeedInput): number {
  const mixed = gpus.length > 0 && work.places.some(({ place }) => place === 'cpu');
  return mixed ? work.crossings : 0;
}

/** Bytes of weights that one pass of so many tokens reads: all dense ones, and of E experts those that the tokens choose. */
function passBytes({ denseBytes, expertBytes }: PlaceWork, { experts }: SpeedWork, tokens: number): number {
  return denseBytes + expertBytes * distinctShare(experts, tokens);
}

/** Expected share of E experts that at least one of n tokens takes, U each, chosen independently: 1 - (1 - U/E)^n. */
export function distinctShare({ count, used }: { count: number; used: number }, tokens: number): number {
  return 1 - (1 - Math.min(used / count, 1)) ** tokens;
}

/** Values that one token is multiplied with. */
function tokenParameters({ denseParameters, expertParameters }: PlaceWork, { experts }: SpeedWork): number {
  return denseParameters + (expertParameters * experts.used) / experts.count;
}

function kindOf({ vendor, computeCapability }: GpuSpec): Kind {
  if (vendor === 'apple' || vendor === 'amd') return vendor;
  if (vendor !== 'nvidia') return 'other';
  if (computeCapability === '6.0') return 'nvidia-p100';
  if (computeCapability === '6.1') return 'nvidia-pascal';
  return /^(7\.0|8\.0|9\.0|10\.\d)$/.test(computeCapability ?? '') ? 'nvidia-hbm' : 'nvidia-gddr';
}

function computeRate(gpu: GpuSpec, rules: SpeedRules, of: Case): number {
  const perMultiprocessor = rules.flopsPerMultiprocessor[gpu.computeCapability ?? ''];
  if (gpu.vendor === 'nvidia' && perMultiprocessor !== undefined && gpu.multiprocessors !== undefined) {
    return perMultiprocessor * gpu.multiprocessors * rules.flopsPerMultiprocessorRange[of];
  }
  const sheet = gpu.flops?.fp16 ?? gpu.flops?.bf16 ?? (gpu.flops?.int8 ? gpu.flops.int8 / 2 : undefined);
  const share = rules.kinds[kindOf(gpu)].computeShare ?? rules.computeShare;
  return (sheet ?? 100 * gpu.bandwidthBytesPerSecond!) * share[of];
}
