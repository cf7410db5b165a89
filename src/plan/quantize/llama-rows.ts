// One GGUF type or mix under llama.cpp: the model's description with that mix, all of it on the GPUs, as many slots as the requirement has
// sequences, each with a context of its own.

import { applyMix } from '../../accounting/gguf-mix/index.ts';
import { ggufStorage } from '../../accounting/gguf-storage.ts';
import type { Storage } from '../../accounting/storage.ts';
import { planLlama } from '../../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../../engines/llamacpp/request.ts';
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import type { LlamaOptions } from '../../spec/llama-options.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';
import type { Plan } from '../types.ts';
import { type EngineAt, engineSupport } from './support.ts';
import type { Outcome } from './vllm-rows.ts';

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

export function ggufSize(model: GgufModel): Storage {
  return ggufStorage(model);
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

/** A file and a cache type, planned for so many slots; nothing is fitted. */
export type PlanSlots = (slots: number) => Plan;

export function planSlots(side: LlamaSide, model: GgufModel, scheme: string, cacheType?: GgmlType): PlanSlots {
  return (slots) =>
    planLlama({
      ...side.request,
      model,
      scheme,
      options: { ...llamaOptions(side, cacheType, slots), fit: false },
    }).plan;
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
  return slotsOutcome(side, planSlots(side, model, scheme.id), evenShareBytes).outcome;
}

/** The requirement, as a row tells it, and how many slots there would be room for. */
export function slotsOutcome(
  side: LlamaSide,
  plan: PlanSlots,
  evenShareBytes: number,
): { outcome: Outcome; bytesPerToken: number | null } {
  const asked = plan(side.concurrency);
  const { verdict, devices, kvCache } = asked;
  const bytesPerToken = kvCache.bytesPerToken || null;
  if (verdict.engineError !== null && verdict.shortfallBytes === undefined && !verdict.fits) {
    return { outcome: refusedOutcome(verdict.reason ?? verdict.engineError, evenShareBytes), bytesPerToken };
  }
  const { fits } = verdict;
  const sequences = fits ? mostSlots(side.concurrency, asked, plan) : 0;
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

/** Slots are all alike: two plans tell what one takes, a third and fourth prove the number. */
function mostSlots(first: number, asked: Plan, plan: PlanSlots): number {
  if (first >= slotLimit) return first;
  const room = asked.verdict.headroomBytes;
  const perSlot = (room - plan(2 * first).verdict.headroomBytes) / first;
  const guess = perSlot > 0 ? first + Math.floor(room / perSlot) : slotLimit;
  let slots = Math.max(first, Math.min(guess, slotLimit));
  while (slots > first && !plan(slots).verdict.fits) slots--;
  while (slots < slotLimit && slots >= guess && plan(slots + 1).verdict.fits) slots++;
  return slots;
}

function refusedOutcome(reason: string, bytes: number): Outcome {
  return {
    weightBytesPerGpu: bytes,
    kv: null,
    state: 'refused',
    fits: false,
    shortfallBytes: 0,
    reason,
    confidence: 'estimated',
  };
}
