// Unequal GPUs in one llama.cpp server. By default layers are dealt out by free memory, though the first GPU has no output layer, the last
// has it, and each has a compute buffer of its own: a split by what the buffers leave (-ts, in layers) holds more. The split that is
// offered was planned; where llama.cpp's own holds as much, nothing is offered.
import { totalsOf } from '../../engines/llamacpp/devices.ts';
import { bytesAt, type LlamaLoad } from '../../engines/llamacpp/load.ts';
import { type LlamaPlanned, planLlama } from '../../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../../engines/llamacpp/request.ts';
import { smallGib, thousands } from '../../numbers.ts';
import type { LlamaOptions } from '../../spec/llama-options.ts';
import type { FlagSuggestion, Suggestion } from '../types.ts';
import { isUnequal } from './is-unequal.ts';
import { bestShares, proportional, type Worth } from './shares.ts';

/** A longer context than this much is worth a change of the command. */
const worthwhile = 1.02;

export function suggestSplit(request: LlamaRequest, { plan, load, options }: LlamaPlanned): Suggestion[] {
  const { tensorSplit, splitMode = 'layer' } = request.options;
  if (!isUnequal(request.gpus) || tensorSplit || splitMode !== 'layer' || load.refusal !== undefined) return [];
  const fixed: LlamaOptions = { ...options, ctxSize: load.context.nCtx, fit: false };
  const best = solveSplit(request, fixed);
  const whole = load.placement.full && plan.verdict.fits;
  if (!best || (whole && best.room <= Math.min(...roomsOf(request, load, load.placement.layersPerGpu)))) return [];
  const { split } = best;
  const found = planLlama(
    { ...request, options: { ...fixed, gpuLayers: 'all', tensorSplit: split } },
    { answers: true },
  );
  const longest = found.plan.offload?.largestContext ?? 0;
  const before = whole ? (plan.offload?.largestContext ?? 0) : 0;
  if (!found.plan.verdict.fits || longest <= before * worthwhile) return [];
  const flags: FlagSuggestion[] = [
    { flag: '-ngl', value: '99', because: 'all layers on the GPUs' },
    { flag: '-ts', value: split.join(','), because: 'layers by what each GPU has left' },
  ];
  const gain = before > 0 ? ` instead of ${thousands(before)}` : '';
  return [
    {
      change: `layers split by memory (-ts ${split.join(',')})`,
      effect: `then all layers on the GPUs, a context of up to ${thousands(longest)} tokens${gain}; ${smallGib(found.plan.verdict.headroomBytes)} to spare`,
      flags,
    },
  ];
}

export interface Split {
  /** Layers per GPU with all of them on the GPUs, the output layer counted. */
  split: number[];
  /** What the poorest GPU has left, in bytes a layer of its own: so much can the cache of a layer grow. */
  room: number;
}

/** Undefined where no split holds all layers at this context. */
export function solveSplit(request: LlamaRequest, options: LlamaOptions): Split | undefined {
  const totals = totalsOf(request).map(({ usableBytes }) => usableBytes);
  const first = planLlama({ ...request, options: { ...options, gpuLayers: 'all' } });
  if (first.load.refusal !== undefined) return undefined;
  const layers = first.hparams.layers + 1;
  if (layers < totals.length) return undefined;
  const worth = (split: readonly number[]): Worth => {
    const { load } = planLlama({ ...request, options: { ...options, gpuLayers: 'all', tensorSplit: [...split] } });
    if (load.refusal !== undefined) return { score: Number.NEGATIVE_INFINITY, rooms: split.map(() => 0) };
    const rooms = roomsOf(request, load, split);
    return { score: Math.min(...rooms), rooms };
  };
  const { shares, worth: reached } = bestShares({
    total: layers,
    start: proportional(layers, totals, 1),
    least: 1,
    worth,
    few: 24,
  });
  return reached.score >= 0 ? { split: shares, room: reached.score } : undefined;
}

function roomsOf(request: LlamaRequest, load: LlamaLoad, layers: readonly number[]): number[] {
  return totalsOf(request).map(
    ({ usableBytes }, i) => (usableBytes - bytesAt(load, `gpu${i}`)) / Math.max(layers[i]!, 1),
  );
}
