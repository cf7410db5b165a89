// What a row says beside the plan itself: memory of the fullest GPU, the published loss of its scheme, and the row of what cannot be
// planned at all.
import type { VllmPlanned } from '../engines/vllm/plan.ts';
import type { ResolvedModel } from '../load/model.ts';
import { loadPresets } from '../load/presets.ts';
import type { CompareSubject, QualityFigures } from '../plan/compare/subject.ts';
import { figuresOf, speakingFigure } from '../plan/quality/book.ts';
import { schemeFigures } from '../plan/quantize/quality.ts';
import type { DevicePlan, Verdict } from '../plan/types.ts';
import { findScheme } from '../spec/quantization.ts';
import type { CompareLine } from './compare-line.ts';

/** The words that name a row, without its layout. */
export type Named = Pick<CompareSubject, 'model' | 'engine' | 'gpu' | 'gpus'>;

/** What cannot be planned at all is a row too, with the reason. */
export function refused(
  named: Named,
  { quantization, kvCacheDtype, tp, pp, dp }: CompareLine,
  reason: string,
): CompareSubject {
  const verdict: Verdict = {
    fits: false,
    capacityFits: false,
    headroomBytes: 0,
    headroomGiB: 0,
    reason,
    engineError: null,
  };
  return {
    ...named,
    quantization: quantization ?? 'none',
    kvCacheDtype: kvCacheDtype ?? 'auto',
    parallel: { tp, pp, dp, ep: 1 },
    memory: null,
    verdict,
    kvCache: null,
    workload: null,
    price: null,
    speed: null,
    quality: null,
  };
}

export function vllmMemory({ ranks }: VllmPlanned): CompareSubject['memory'] {
  const most = (of: (rank: VllmPlanned['ranks'][number]) => number): number => Math.max(...ranks.map(of));
  return {
    tensorBytes: most(({ weights }) => weights.tensorBytes),
    loadedBytes: most(({ budget }) => budget.weights.loadedBytes),
    activationBytes: most(({ budget }) => budget.activations.bytes),
    graphBytes: most(({ budget }) => budget.graphs.bytes),
    budgetBytes: most(({ budget }) => budget.requestedBytes),
  };
}

export function deviceMemory(devices: readonly DevicePlan[]): CompareSubject['memory'] {
  const own = devices.filter(({ gpu }) => gpu !== 'host');
  const most = (of: (device: DevicePlan) => number): number => Math.max(0, ...own.map(of));
  const item = (device: DevicePlan, id: string): number => device.items.find((one) => one.id === id)?.bytes ?? 0;
  return {
    tensorBytes: most(({ weights }) => weights.tensorBytes),
    loadedBytes: most(({ weights }) => weights.loadedBytes),
    activationBytes: most((device) => item(device, 'compute-buffer')),
    graphBytes: 0,
    budgetBytes: most(({ budgetBytes }) => budgetBytes),
  };
}

/** What is published of the loss; a model that is served as it was published loses nothing. */
export function qualityOf({ spec }: ResolvedModel, id: string | undefined): QualityFigures | null {
  const none: QualityFigures = { relativeLoss: 0, relation: 'none', metric: null };
  if (id === undefined || /^(none|bf16|f16|fp16|f32|fp32)$/.test(id)) return none;
  const scheme = findScheme(loadPresets('quantizations'), id);
  const subject = { id: spec.id, family: spec.family, parameters: spec.parameters };
  const query = { book: loadPresets('quality'), subject, domain: undefined };
  const figures = scheme ? schemeFigures(scheme, query) : figuresOf(query.book, id, subject);
  const choice = speakingFigure(figures, undefined);
  if (!choice) return null;
  const { relation, relativeLoss, metric } = choice.figure;
  return { relativeLoss: relativeLoss ?? null, relation, metric: metric.short };
}
