// Turns one planned start into the whole answer: flags and command, pitfalls, suggestions (each planned), the matrix, and the
// echo of what was asked for.
import { parameterCount } from '../architecture/build.ts';
import type { Architecture } from '../architecture/types.ts';
import type { Diagnostic } from '../diagnostics.ts';
import { emitFlags } from '../engines/vllm/emit.ts';
import type { FlagEntry } from '../engines/vllm/flags.ts';
import { planVllm, type VllmPlanned } from '../engines/vllm/plan.ts';
import type { RegistryEntry } from '../engines/vllm/registry.ts';
import { shellQuote } from '../shell.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';
import { flagWords } from './flag-words.ts';
import { planMatrix } from './matrix.ts';
import { envelope, nodesEcho, type PlanInputEcho, type PlanOutput } from './output.ts';
import { pitfalls } from './pitfalls.ts';
import type { QualityBook } from './quality/book.ts';
import type { PlanRequest } from './request.ts';
import { suggest } from './suggest.ts';
import type { FlagSuggestion } from './types.ts';

export interface CompleteInput {
  request: PlanRequest;
  /** Options as the user gave them: what the command has to repeat. */
  given: Partial<EngineOptions>;
  /** The repository or path that the command serves. */
  served: string;
  engineName: string;
  gpuCount: number;
  matrix: boolean;
  flags: readonly FlagEntry[];
  registry: readonly RegistryEntry[];
  /** Read only when something does not fit. */
  schemes: () => readonly QuantizationScheme[];
  gpus: () => readonly GpuSpec[];
  /** Read only when the weights are below 8 bits. */
  quality: () => QualityBook;
  diagnostics: readonly Diagnostic[];
}

export function completePlan(input: CompleteInput): PlanOutput {
  const { request, registry } = input;
  const planned = planVllm(request, registry);
  const { plan, resolved, architecture } = planned;
  const emitted = emitFlags({
    given: input.given,
    relied: reliedOn(planned),
    quantizationFlag: quantizationFlag(request),
    flags: input.flags,
    release: request.release,
    maxModelLen: plan.kvCache.maxModelLen,
  });
  plan.startupLog = planned.startupLog();
  plan.kvCache.figures = planned.explainKv();
  plan.flags = emitted.flags;
  plan.command = commandLine(input, emitted.flags);
  if (input.matrix) plan.matrix = planMatrix(planned, request);
  if (!plan.verdict.fits || plan.workload?.fits === false) plan.suggestions = suggestions(input, planned);
  const diagnostics = [
    ...input.diagnostics,
    ...planned.diagnostics,
    ...emitted.diagnostics,
    ...pitfalls({ request, resolved, architecture, plan, quality: input.quality }),
  ];
  return envelope('plan', echo(input, planned), plan, diagnostics);
}

/** What the plan rests on although nobody said it: the length and the utilization, so that another default cannot move them. */
function reliedOn({ plan, resolved }: VllmPlanned): { key: keyof EngineOptions; value: unknown; because: string }[] {
  return [
    { key: 'maxModelLen', value: plan.kvCache.maxModelLen, because: 'the length that this plan is for' },
    {
      key: 'gpuMemoryUtilization',
      value: resolved.gpuMemoryUtilization,
      because: 'the default of this release, which this plan is for',
    },
    { key: 'maxNumSeqs', value: resolved.maxNumSeqs, because: 'the default of this release on this GPU' },
    {
      key: 'maxNumBatchedTokens',
      value: resolved.maxNumBatchedTokens,
      because: 'the default of this release on this GPU',
    },
  ];
}

/** A checkpoint says its own scheme; only quantizing while loading needs the flag. */
function quantizationFlag({ scheme }: PlanRequest): string | null {
  return scheme?.online || scheme?.method === 'bitsandbytes' ? scheme.method : null;
}

/** Environment of an existing command that the engine reads stays before it. */
function commandLine({ request, served }: CompleteInput, flags: readonly FlagSuggestion[]): string {
  const environment = Object.entries(request.options.env ?? {}).filter(([name]) => name.startsWith('VLLM_'));
  const assignments = environment.map(([name, value]) => `${name}=${shellQuote(value)}`);
  return [...assignments, ...['vllm', 'serve', served, ...flagWords(flags)].map(shellQuote)].join(' ');
}

function suggestions(input: CompleteInput, { plan, resolved }: VllmPlanned): PlanOutput['result']['suggestions'] {
  const { request, registry, schemes, gpus } = input;
  const capability = Number(request.gpus[0]!.computeCapability ?? 0);
  const wholeFits = plan.devices.every(({ weights, budgetBytes }) => weights.loadedBytes < budgetBytes);
  return suggest(
    request,
    {
      schemes: request.spec.quantization ? [] : schemesToTry(schemes(), capability, wholeFits),
      gpus: gpus().filter((gpu) => gpu.sliceOf === undefined),
      fp8Kv: capability >= 8.9 || capability === 0,
      maxModelLen: resolved.maxModelLen,
      maxNumSeqs: resolved.maxNumSeqs,
      maxNumBatchedTokens: resolved.maxNumBatchedTokens,
    },
    (candidate) => planVllm(candidate, registry).plan,
  );
}

/** Schemes worth suggesting that the card can run; quantizing while loading only where the 16-bit weights fit first. */
function schemesToTry(
  schemes: readonly QuantizationScheme[],
  capability: number,
  wholeFits: boolean,
): QuantizationScheme[] {
  return ['fp8', 'fp8-dynamic', 'w8a8', 'w4a16', 'awq']
    .map((id) => schemes.find((scheme) => scheme.id === id))
    .filter((scheme) => scheme !== undefined)
    .filter((scheme) => !scheme.online || wholeFits)
    .filter(
      ({ minCapability }) => minCapability === undefined || capability === 0 || capability >= Number(minCapability),
    );
}

function echo(
  { request, served, engineName, gpuCount }: CompleteInput,
  { resolved, architecture }: VllmPlanned,
): PlanInputEcho {
  const { spec, scheme } = request;
  const gpu = request.gpus[0]!;
  const parameters = spec.parameters ?? parameterCount(architecture.tensors, 'text');
  const { tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp } = resolved;
  return {
    model: {
      id: spec.id,
      name: spec.name ?? spec.id,
      hfId: spec.hfId ?? null,
      served,
      architecture: spec.architecture,
      parameters,
      activeParameters: activeParameters(architecture, parameters),
      scheme: scheme?.id ?? resolved.dtype,
      source: spec.source ?? null,
    },
    gpu: {
      id: gpu.id,
      name: [...new Set(request.gpus.map(({ name }) => name))].join(' + '),
      vendor: gpu.vendor,
      count: Math.max(gpuCount, tp * pp * dp),
      driverTotalBytes: gpu.driverTotalBytes,
      cudaTotalBytes: gpu.cudaTotalBytes,
      computeCapability: gpu.computeCapability ?? null,
      ...nodesEcho(request.nodes),
    },
    engine: {
      id: 'vllm',
      name: engineName,
      version: request.version,
      release: request.release,
      options: { ...resolved, captureSizes: resolved.captureSizes.length },
    },
    parallel: { tp, pp, dp, ep: resolved.enableExpertParallel ? tp * dp : 1 },
  };
}

/** Parameters that one token passes through: the routed experts count by top-k. */
function activeParameters({ tensors, forward }: Architecture, total: number): number {
  if (!forward.moe) return total;
  const experts = tensors.filter((group) => group.part === 'text' && group.role.startsWith('expert-'));
  const routed = parameterCount(experts);
  const { experts: count, topK } = forward.moe;
  return Math.round(total - routed + (routed * topK) / count);
}
