// Plans the combinations of one line (a model, an engine, a scheme, a layout, a load) on every GPU and hands their cells on. The arguments
// go the way of `plan`, once a line; only the GPU changes from row to row, so that a row is what `plan` says of it.
import { isInputError } from '../diagnostics.ts';
import { planLlama } from '../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import { planVllm } from '../engines/vllm/plan.ts';
import type { Io } from '../io.ts';
import { vllmRegistry } from '../load/flags.ts';
import { type ResolvedModel, resolveModel } from '../load/model.ts';
import type { Cells } from '../plan/compare/cells.ts';
import { readCells } from '../plan/compare/columns.ts';
import type { CompareSubject } from '../plan/compare/subject.ts';
import { estimateLlamaSpeed, estimateSpeed, type SpeedShape } from '../plan/speed/index.ts';
import { loadShape } from '../plan/speed/shape.ts';
import { deviceMemory, type Named, qualityOf, refused, vllmMemory } from './compare-figures.ts';
import { argumentsOf, type CompareLine, type CompareSetup, requestOn, withLayoutFor } from './compare-line.ts';
import type { GpuEntry } from './compare-lists.ts';
import { priceFigures } from './compare-price.ts';
import { resolveLlamaArguments } from './plan-llama.ts';
import { resolveArguments } from './plan-request.ts';

export type EmitCells = (cells: Cells) => void;

export class Evaluator {
  private readonly models = new Map<string, ResolvedModel>();

  constructor(
    private readonly setup: CompareSetup,
    private readonly io: Io,
  ) {}

  async line(line: CompareLine, emit: EmitCells): Promise<void> {
    const model = await this.model(line.model);
    if (line.engine.id !== 'vllm') await this.llamaLine(line, model, emit);
    else if (line.whole) await this.wholeBoxes(line, model, emit);
    else await this.vllmLine(line, model, emit);
  }

  private async vllmLine(line: CompareLine, model: ResolvedModel, emit: EmitCells): Promise<void> {
    const { tp, pp, dp } = line;
    const needed = tp * pp * dp;
    const resolved = await attempt(() => resolveArguments(argumentsOf(line, this.setup.args, model), this.io));
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
      const request = requestOn(base, entry);
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
  private async wholeBoxes(line: CompareLine, model: ResolvedModel, emit: EmitCells): Promise<void> {
    const { from, to } = line.only ?? { from: 0, to: this.setup.gpus.length };
    const countAt = (at: number): number => this.setup.gpus[at]!.count ?? 1;
    for (let start = from, at = from + 1; at <= to; at++) {
      if (at < to && countAt(at) === countAt(start)) continue;
      const only = { from: start, to: at };
      await this.vllmLine({ ...withLayoutFor(line, this.setup.gpus[start]!), only }, model, emit);
      start = at;
    }
  }

  private async llamaLine(line: CompareLine, model: ResolvedModel, emit: EmitCells): Promise<void> {
    const { tp, pp, dp } = line;
    if (dp > 1) return;
    const needed = tp * pp;
    const resolved = await attempt(() => resolveLlamaArguments(argumentsOf(line, this.setup.args, model), this.io));
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

function wordsOf({ engine, model }: CompareLine, { spec, from }: ResolvedModel): Pick<Named, 'model' | 'engine'> {
  return { model: from === 'preset' ? spec.id : model, engine: engine.label };
}

async function attempt<Value>(work: () => Promise<Value>): Promise<Value | string> {
  try {
    return await work();
  } catch (error) {
    if (isInputError(error)) return error.diagnostics[0]?.message ?? error.message;
    throw error;
  }
}
