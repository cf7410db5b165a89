// Plans the combinations of one line (a model, an engine, a scheme, a layout, a load) on every GPU and hands their cells on. The arguments
// go the way of `plan`, once a line; only the GPU changes from row to row, so that a row is what `plan` says of it.
import { isInputError } from '../diagnostics.ts';
import { planLlama } from '../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import { planVllm, type VllmPlanned } from '../engines/vllm/plan.ts';
import type { Io } from '../io.ts';
import { vllmRegistry } from '../load/flags.ts';
import { type ResolvedModel, resolveModel } from '../load/model.ts';
import { loadPresets } from '../load/presets.ts';
import type { Cells } from '../plan/compare/cells.ts';
import { readCells } from '../plan/compare/columns.ts';
import type { CompareSubject, QualityFigures } from '../plan/compare/subject.ts';
import type { PriceOverrides } from '../plan/price.ts';
import { figuresOf, speakingFigure } from '../plan/quality/book.ts';
import { schemeFigures } from '../plan/quantize/quality.ts';
import type { PlanRequest } from '../plan/request.ts';
import { estimateLlamaSpeed, estimateSpeed, type SpeedShape } from '../plan/speed/index.ts';
import { loadShape } from '../plan/speed/shape.ts';
import type { DevicePlan, Verdict } from '../plan/types.ts';
import { findScheme } from '../spec/quantization.ts';
import type { EngineEntry, GpuEntry } from './compare-lists.ts';
import { priceFigures } from './compare-price.ts';
import { resolveLlamaArguments } from './plan-llama.ts';
import { type PlanArguments, resolveArguments } from './plan-request.ts';

/** One line of combinations: everything but the GPU. */
export interface CompareLine {
  model: string;
  engine: EngineEntry;
  quantization: string | undefined;
  kvCacheDtype: string | undefined;
  tp: number;
  pp: number;
  dp: number;
  context: number | undefined;
  concurrency: number | undefined;
  /** No layout is asked for: a box is used whole, by tensor parallelism. */
  whole?: boolean;
  /** Of the GPUs, those from one position to before another; absent: all. */
  only?: { from: number; to: number };
}

export interface CompareSetup {
  /** Options that all combinations share. */
  args: PlanArguments;
  gpus: readonly GpuEntry[];
  prices: PriceOverrides | undefined;
  /** Tokens of the answer within the context; the rest is the prompt. */
  outputTokens: number | undefined;
}

export type EmitCells = (cells: Cells) => void;

export class Evaluator {
  private readonly models = new Map<string, ResolvedModel>();

  constructor(
    private readonly setup: CompareSetup,
    private readonly io: Io,
  ) {}

  async line(line: CompareLine, emit: EmitCells): Promise<void> {
    const { args } = this.setup;
    const model = await this.model(line.model);
    const given = { ...args.given };
    if (line.quantization !== undefined) given.quantization = line.quantization;
    if (line.kvCacheDtype !== undefined) given.kvCacheDtype = line.kvCacheDtype;
    const { gpu: _, ...rest } = args;
    const asked: PlanArguments = {
      ...rest,
      given,
      model: line.model,
      resolvedModel: model,
      engine: line.engine.ref,
      ...(line.context === undefined ? {} : { context: line.context }),
      ...(line.concurrency === undefined ? {} : { concurrency: line.concurrency }),
    };
    if (line.engine.id === 'vllm') await this.vllmLine(line, asked, model, emit);
    else await this.llamaLine(line, asked, model, emit);
  }

  private async vllmLine(
    line: CompareLine,
    asked: PlanArguments,
    model: ResolvedModel,
    emit: EmitCells,
  ): Promise<void> {
    if (line.whole) return this.wholeBoxes(line, asked, model, emit);
    const { tp, pp, dp } = line;
    const given = { ...asked.given, tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp };
    const needed = tp * pp * dp;
    const resolved = await attempt(() => resolveArguments({ ...asked, given }, this.io));
    const registry = vllmRegistry();
    const quality = qualityOf(model, typeof resolved === 'string' ? undefined : resolved.base.scheme?.id);
    for (const entry of this.gpusOf(line)) {
      if (entry.count !== null && entry.count < needed) continue;
      const gpus = entry.count ?? needed;
      const named = { ...wordsOf(line, model), gpu: entry.label, gpus };
      if (typeof resolved === 'string') {
        emit(readCells(refused(named, line, resolved)));
        continue;
      }
      const { base } = resolved;
      const nodes = entry.nodes.length > 0 ? { nodes: entry.nodes } : {};
      const request: PlanRequest = { ...base, gpus: entry.gpus, ...nodes };
      const planned = planVllm(request, registry, { devices: false });
      const { plan } = planned;
      const ep = planned.resolved.enableExpertParallel ? tp * dp : 1;
      const shape = this.shapeOf(line, plan.kvCache.maxModelLen);
      const holds = plan.verdict.fits && plan.workload?.fits !== false;
      emit(
        readCells({
          ...named,
          quantization: base.scheme?.id ?? 'none',
          kvCacheDtype: planned.resolved.kvCacheDtype,
          parallel: { tp, pp, dp, ep },
          memory: vllmMemory(planned),
          verdict: plan.verdict,
          kvCache: plan.kvCache,
          workload: plan.workload,
          price: priceFigures(entry, gpus, this.setup.prices),
          speed: holds ? (estimateSpeed({ planned, request, shape }) ?? null) : null,
          quality,
        }),
      );
    }
  }

  /** Every stretch of GPUs of one count with the layout that uses them all. */
  private async wholeBoxes(
    line: CompareLine,
    asked: PlanArguments,
    model: ResolvedModel,
    emit: EmitCells,
  ): Promise<void> {
    const { from, to } = line.only ?? { from: 0, to: this.setup.gpus.length };
    const countAt = (at: number): number => this.setup.gpus[at]!.count ?? 1;
    for (let start = from, at = from + 1; at <= to; at++) {
      if (at < to && countAt(at) === countAt(start)) continue;
      await this.vllmLine(
        { ...line, whole: false, tp: countAt(start), only: { from: start, to: at } },
        asked,
        model,
        emit,
      );
      start = at;
    }
  }

  private async llamaLine(
    line: CompareLine,
    asked: PlanArguments,
    model: ResolvedModel,
    emit: EmitCells,
  ): Promise<void> {
    const { tp, pp, dp } = line;
    if (dp > 1) return;
    const needed = tp * pp;
    const resolved = await attempt(() => resolveLlamaArguments(asked, this.io));
    for (const entry of this.gpusOf(line)) {
      if (entry.count !== null && entry.count < needed) continue;
      const count = entry.count ?? needed;
      const named = { ...wordsOf(line, model), gpu: entry.label, gpus: count };
      if (typeof resolved === 'string') {
        emit(readCells(refused(named, line, resolved)));
        continue;
      }
      const gpus = entry.count === null ? Array.from({ length: needed }, () => entry.gpus[0]!) : [...entry.gpus];
      emit(
        readCells({
          ...named,
          ...this.llamaRow(line, { ...resolved.request, gpus }, model),
          price: priceFigures(entry, count, this.setup.prices),
        }),
      );
    }
  }

  private llamaRow(
    line: CompareLine,
    request: LlamaRequest,
    model: ResolvedModel,
  ): Omit<CompareSubject, 'model' | 'engine' | 'gpu' | 'gpus' | 'price'> {
    const planned = planLlama(request);
    const { plan } = planned;
    const shape = this.shapeOf(line, plan.kvCache.maxModelLen);
    const holds = plan.verdict.fits && plan.workload?.fits !== false;
    return {
      quantization: request.scheme,
      kvCacheDtype: `${planned.options.cacheTypeK ?? 'f16'}`,
      parallel: { tp: 1, pp: 1, dp: 1, ep: 1 },
      memory: deviceMemory(plan.devices),
      verdict: plan.verdict,
      kvCache: plan.kvCache,
      workload: plan.workload,
      speed: holds ? (estimateLlamaSpeed({ planned, request, shape }) ?? null) : null,
      quality: qualityOf(model, request.scheme),
    };
  }

  private gpusOf({ only }: CompareLine): readonly GpuEntry[] {
    return only ? this.setup.gpus.slice(only.from, only.to) : this.setup.gpus;
  }

  private shapeOf({ context, concurrency }: CompareLine, maxModelLen: number): SpeedShape {
    return loadShape({ context, concurrency, outputTokens: this.setup.outputTokens }, maxModelLen);
  }

  private async model(ref: string): Promise<ResolvedModel> {
    let model = this.models.get(ref);
    if (!model) {
      model = await resolveModel(ref, { env: this.io.env });
      // One at a time: what planning remembers of a model goes with it.
      this.models.clear();
      this.models.set(ref, model);
    }
    return model;
  }
}

type Named = Pick<CompareSubject, 'model' | 'engine' | 'gpu' | 'gpus'>;

function wordsOf({ engine, model }: CompareLine, { spec, from }: ResolvedModel): Pick<Named, 'model' | 'engine'> {
  return { model: from === 'preset' ? spec.id : model, engine: engine.label };
}

/** What cannot be planned at all is a row too, with the reason. */
function refused(
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

async function attempt<Value>(work: () => Promise<Value>): Promise<Value | string> {
  try {
    return await work();
  } catch (error) {
    if (isInputError(error)) return error.diagnostics[0]?.message ?? error.message;
    throw error;
  }
}

function vllmMemory({ ranks }: VllmPlanned): CompareSubject['memory'] {
  const most = (of: (rank: VllmPlanned['ranks'][number]) => number): number => Math.max(...ranks.map(of));
  return {
    tensorBytes: most(({ weights }) => weights.tensorBytes),
    loadedBytes: most(({ budget }) => budget.weights.loadedBytes),
    activationBytes: most(({ budget }) => budget.activations.bytes),
    graphBytes: most(({ budget }) => budget.graphs.bytes),
    budgetBytes: most(({ budget }) => budget.requestedBytes),
  };
}

function deviceMemory(devices: readonly DevicePlan[]): CompareSubject['memory'] {
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
function qualityOf({ spec }: ResolvedModel, id: string | undefined): QualityFigures | null {
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
