// One GGUF type or mix under llama.cpp: the model's description with that mix, all of it on the GPUs, as many slots as the requirement has
// sequences, each with a context of its own.
import { applyMix } from '../../accounting/gguf-mix/index.ts';
import { planLlama } from '../../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../../engines/llamacpp/request.ts';
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import type { LlamaOptions } from '../../spec/llama-options.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';
import type { Plan } from '../types.ts';
import { type Outcome, refusedOutcome } from './outcome.ts';
import { type EngineAt, engineSupport } from './support.ts';

export interface LlamaSide {
  engine: EngineAt;
  /** The deployment without the tensors' types. */
  request: Omit<LlamaRequest, 'model' | 'scheme'>;
  context: number;
  concurrency: number;
}

/** The tensors of a model, given in 16 bit as a GGUF file describes it, under a scheme's mix; undefined where llama.cpp has no architecture. */
export function mixedModel(source: GgufModel | undefined, { mix, imatrix }: QuantizationScheme): GgufModel | undefined {
  return source && mix !== undefined ? applyMix(source, mix, imatrix ? { imatrix } : {}) : undefined;
}

/** Options of the row's plan: everything on the GPUs, a slot of its own for every sequence. */
export function llamaOptions(side: LlamaSide, cacheType?: GgmlType, slots = side.concurrency): LlamaOptions {
  const { request, context } = side;
  return {
    ...request.options,
    ctxSize: context * slots,
    parallel: slots,
    gpuLayers: request.options.gpuLayers ?? 'all',
    ...(cacheType === undefined ? {} : { cacheTypeK: cacheType, cacheTypeV: cacheType }),
  };
}

/** A file and a cache type, to be planned for any number of slots; nothing is fitted. */
export interface SlotsQuestion {
  /** Type of the cache, as a key. */
  cache: string;
  plan(slots: number): Plan;
}

export function slotsQuestion(side: LlamaSide, model: GgufModel, scheme: string, cacheType?: GgmlType): SlotsQuestion {
  const plan = (slots: number): Plan =>
    planLlama({
      ...side.request,
      model,
      scheme,
      options: { ...llamaOptions(side, cacheType, slots), fit: false },
    }).plan;
  return { cache: cacheType ?? '', plan };
}

export function llamaOutcome(
  side: LlamaSide,
  scheme: QuantizationScheme,
  model: GgufModel | undefined,
  evenShareBytes: number,
): Outcome {
  const { supported, version, since, until } = engineSupport(scheme, side.engine);
  const refuse = (reason: string): Outcome => refusedOutcome(reason, evenShareBytes);
  if (!model) return refuse('llama.cpp has no architecture for this model');
  if (!supported) {
    return refuse(
      `llama.cpp ${version} does not have it (${[since && `from ${since}`, until && `up to ${until}`].filter(Boolean).join(' ')})`,
    );
  }
  return slotsOutcome(side, slotsQuestion(side, model, scheme.id), evenShareBytes).outcome;
}

/** The requirement, as a row tells it, and how many slots there would be room for. */
export function slotsOutcome(
  side: LlamaSide,
  question: SlotsQuestion,
  evenShareBytes: number,
): { outcome: Outcome; bytesPerToken: number | null } {
  const asked = question.plan(side.concurrency);
  const { verdict, devices, kvCache } = asked;
  const bytesPerToken = kvCache.bytesPerToken || null;
  if (verdict.engineError !== null && verdict.shortfallBytes === undefined && !verdict.fits) {
    return { outcome: refusedOutcome(verdict.reason ?? verdict.engineError, evenShareBytes), bytesPerToken };
  }
  const { fits } = verdict;
  const sequences = fits ? mostSlots(side, asked, question) : 0;
  const onGpus = devices.filter(({ gpu }) => gpu !== 'host');
  const outcome: Outcome = {
    weightBytesPerGpu: Math.max(...onGpus.map(({ weights }) => weights.loadedBytes)),
    kv: fits ? { tokens: sequences * side.context, sequencesAtContext: sequences } : null,
    state: fits ? 'fits' : 'short',
    fits,
    shortfallBytes: verdict.shortfallBytes ?? 0,
    reason: verdict.reason,
    confidence: 'derived',
  };
  return { outcome, bytesPerToken };
}

/** More slots than anybody serves from one process. */
const slotLimit = 256;

/** What one more slot takes on the tightest GPU: the same for every type of the weights, so it is found out once per type of the cache. */
const slotBytes = new WeakMap<LlamaSide, Map<string, number>>();

function bytesOfSlot(side: LlamaSide, asked: Plan, { plan, cache }: SlotsQuestion): number {
  const known = slotBytes.get(side) ?? new Map<string, number>();
  slotBytes.set(side, known);
  const bytes =
    known.get(cache) ??
    (asked.verdict.headroomBytes - plan(2 * side.concurrency).verdict.headroomBytes) / side.concurrency;
  known.set(cache, bytes);
  return bytes;
}

/** By what a slot takes, and proved by a plan; where that fails, by halving. */
function mostSlots(side: LlamaSide, asked: Plan, question: SlotsQuestion): number {
  const first = side.concurrency;
  const perSlot = bytesOfSlot(side, asked, question);
  const guess = perSlot > 0 ? first + Math.floor(asked.verdict.headroomBytes / perSlot) : slotLimit;
  const most = Math.max(first, Math.min(guess, slotLimit));
  if (most === first || question.plan(most).verdict.fits) return most;
  let [low, high] = [first, most - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (question.plan(middle).verdict.fits) low = middle;
    else high = middle - 1;
  }
  return low;
}
