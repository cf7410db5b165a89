// From the words of a command line to the answer of `vram quantize`: the deployment in 16 bit, the engines asked for, rows, caches, and the
// recommended deployment planned once more as `vram plan` would, so that its command is the one that was judged.

import { parameterCount } from '../architecture/build.ts';
import { toGguf } from '../architecture/gguf/index.ts';
import { expandArchitecture } from '../architecture/index.ts';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import { buildNumber } from '../engines/llamacpp/builds.ts';
import { compareVersions, parseVersion } from '../engines/vllm/profile.ts';
import type { Io } from '../io.ts';
import { type EngineRef, engineIdOf, type LlamaEngineRef, resolveEngineRef, resolveLlamaRef } from '../load/engine.ts';
import { vllmRegistry } from '../load/flags.ts';
import { nearestNames, printable } from '../load/names.ts';
import { loadPresets } from '../load/presets.ts';
import { envelope } from '../plan/output.ts';
import type { Domain } from '../plan/quality/book.ts';
import { kvRows } from '../plan/quantize/kv-rows.ts';
import type { LlamaSide } from '../plan/quantize/llama-rows.ts';
import { nearMisses } from '../plan/quantize/near.ts';
import { schemeFigures } from '../plan/quantize/quality.ts';
import { type Choice, type RecommendInput, recommend } from '../plan/quantize/recommend.ts';
import { publishedScheme, quantizeRows, type RowsInput } from '../plan/quantize/rows.ts';
import type { EngineAt } from '../plan/quantize/support.ts';
import type { EngineName, QuantizeRow } from '../plan/quantize/types.ts';
import type { VllmSide } from '../plan/quantize/vllm-rows.ts';
import type { QuantizeOutput } from '../plan/quantize-output.ts';
import type { PlanRequest } from '../plan/request.ts';
import { cacheTypes } from '../spec/llama-options.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';
import { type PlanArguments, resolveArguments } from './plan-request.ts';
import { recommendationOf } from './quantize-recommended.ts';
import { splitOver } from './quantize-split.ts';

export interface QuantizeArguments extends PlanArguments {
  maxQualityLoss?: number;
  domain?: Domain;
  /** Globs over scheme ids; none: all. */
  schemes: string[];
  /** Mixed precision in place of the rows. */
  recipe?: boolean;
  recipeOut?: string;
}

/** Sequences this long are planned where no --context says otherwise. */
const usualContext = 8192;

export async function quantizeArguments(args: QuantizeArguments, io: Io): Promise<QuantizeOutput> {
  if (args.gpu === undefined) {
    throw inputError('VRAM169', 'no GPU is given', { hint: 'add --gpu, e.g. --gpu "2x rtx4090"', path: '--gpu' });
  }
  const engines = enginesOf(args.engine);
  const cacheType = llamaCacheType(args);
  const { quantization: asked, ...given } = args.given;
  if (cacheType !== undefined) delete given.kvCacheDtype;
  const vllmRef = engines.vllm?.version ? `vllm@${engines.vllm.version}` : undefined;
  const resolved = await resolveArguments({ ...args, engine: vllmRef, given }, io);
  const { request: resolvedRequest, count } = resolved.devices!;
  const diagnostics = [...resolved.diagnostics, ...(engines.llama?.diagnostics ?? [])];
  const context =
    args.context ?? Math.min(usualContext, resolvedRequest.spec.config.maxPositionEmbeddings ?? usualContext);
  const concurrency = args.concurrency ?? 1;
  if (args.context === undefined) diagnostics.push(usualNote(context, concurrency));
  const split = splitOver(resolvedRequest, given, count, diagnostics);
  const request: PlanRequest = {
    ...resolvedRequest,
    options: { ...resolvedRequest.options, ...split, maxModelLen: given.maxModelLen ?? context },
    context,
    concurrency,
  };
  const architecture = expandArchitecture(request.spec);
  const schemes = schemesAsked(asked === undefined ? args.schemes : [...args.schemes, asked]);
  const parameters = request.spec.parameters ?? parameterCount(architecture.tensors, 'text');
  const { family } = request.spec;
  const plain = { ...request.spec, quantization: undefined };
  const vllm: VllmSide = {
    request: { ...request, spec: plain as PlanRequest['spec'], scheme: undefined },
    registry: vllmRegistry(),
    engine: vllmAt(resolved.base.version, resolved.base.release),
  };
  const llama = engines.llama && llamaSide({ engine: engines.llama, args, request, context, concurrency, cacheType });
  const input: RowsInput = {
    spec: request.spec,
    architecture,
    gpus: devicesOf(request, count),
    schemes,
    published: publishedScheme(request.spec, loadPresets('quantizations')),
    laws: loadPresets('hardware-formats').laws,
    quality: {
      book: loadPresets('quality'),
      subject: { id: request.spec.id, family, parameters },
      domain: args.domain,
    },
    ...(engines.vllm ? { vllm } : {}),
    ...(llama ? { llama } : {}),
    ggufSource: toGguf(request.spec, architecture),
    context,
    concurrency,
  };
  const rows = quantizeRows(input);
  const choosing = recommendInput(input, rows, args.maxQualityLoss);
  const choice = recommend(choosing);
  const chosen = 'none' in choice ? undefined : choice;
  const near = nearMisses(input, choosing, chosen?.row);
  if (chosen) chosen.alternatives.push(...near);
  diagnostics.push(...domainWarning(args.domain, chosen, rows));
  const recommendation =
    chosen && (await recommendationOf({ args, given, chosen, input, request, io, llama, diagnostics }));
  const caches = kvRows(input, loadPresets('kv-cache-schemes').schemes, cacheWeights(input, rows, chosen));
  const gpu = request.gpus[0]!;
  const { tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp } = request.options;
  return envelope(
    'quantize',
    {
      model: {
        id: request.spec.id,
        name: request.spec.name ?? request.spec.id,
        hfId: request.spec.hfId ?? null,
        architecture: request.spec.architecture,
        parameters,
        published: input.published?.id ?? request.spec.config.dtype ?? 'bfloat16',
      },
      gpu: {
        id: gpu.id,
        name: gpu.name,
        vendor: gpu.vendor,
        count: Math.max(count, tp * pp * dp),
        cudaTotalBytes: gpu.cudaTotalBytes,
        computeCapability: gpu.computeCapability ?? null,
      },
      engines: [
        ...(engines.vllm ? [{ id: 'vllm', name: 'vLLM', version: resolved.base.version }] : []),
        ...(engines.llama ? [{ id: 'llama.cpp', name: 'llama.cpp', version: engines.llama.version }] : []),
      ],
      parallel: { tp, pp, dp },
    },
    {
      requirement: {
        context,
        concurrency,
        maxQualityLoss: args.maxQualityLoss ?? null,
        domain: args.domain ?? null,
      },
      rows,
      kvCache: caches,
      recommendation: recommendation ?? null,
      noRecommendation: 'none' in choice ? withNear(choice.none, near) : null,
    },
    diagnostics,
  );
}

function withNear(none: string, near: readonly { row: QuantizeRow; reason: string }[]): string {
  return [none, ...near.map(({ row, reason }) => `${row.scheme} ${reason}`)].join('; ');
}

interface Engines {
  vllm?: Pick<EngineRef, 'version'>;
  llama?: LlamaEngineRef;
}

/** All engines, one, or several with commas. */
function enginesOf(text: string | undefined): Engines {
  if (text === undefined) return { vllm: resolveEngineRef(undefined), llama: resolveLlamaRef('llama.cpp') };
  const engines: Engines = {};
  for (const ref of text.split(',').map((part) => part.trim())) {
    const id = engineIdOf(ref);
    if (id === 'vllm') engines.vllm = resolveEngineRef(ref);
    else if (id === 'llama.cpp') engines.llama = resolveLlamaRef(ref);
    else {
      throw inputError('VRAM404', `schemes are compared under vllm and llama.cpp, not ${JSON.stringify(ref)}`, {
        hint: 'Ollama runs the files of llama.cpp: --engine llama.cpp',
        path: '--engine',
      });
    }
  }
  return engines;
}

/** --kv-cache-dtype as llama.cpp takes it, where it is not one of vLLM's. */
function llamaCacheType({ given }: PlanArguments): (typeof cacheTypes)[number] | undefined {
  return cacheTypes.find((type) => type === given.kvCacheDtype);
}

function vllmAt(version: string, release: string): EngineAt {
  const at = parseVersion(release)!;
  return { id: 'vllm', version, atLeast: (other) => compareVersions(at, parseVersion(other) ?? [0, 0, 0]) >= 0 };
}

function llamaSide({
  engine,
  args,
  request,
  context,
  concurrency,
  cacheType,
}: {
  engine: LlamaEngineRef;
  args: QuantizeArguments;
  request: PlanRequest;
  context: number;
  concurrency: number;
  cacheType: (typeof cacheTypes)[number] | undefined;
}): LlamaSide {
  const { spec, freeMemoryBytes } = request;
  const devices = devicesOf(request, request.gpus.length);
  const cache = cacheType === undefined ? {} : { cacheTypeK: cacheType, cacheTypeV: cacheType };
  return {
    engine: { id: 'llama.cpp', version: engine.version, atLeast: (other) => engine.build >= (buildNumber(other) ?? 0) },
    request: {
      spec,
      gpus: devices,
      version: engine.version,
      build: engine.build,
      rules: engine.rules,
      options: { ...args.llama, ...cache },
      ...(freeMemoryBytes ? { freeBytes: devices.map((_, i) => freeMemoryBytes[i] ?? freeMemoryBytes[0]!) } : {}),
    },
    context,
    concurrency,
  };
}

/** As many as were named, or as many as the layout needs of the one that was. */
function devicesOf({ gpus, options }: PlanRequest, count: number): PlanRequest['gpus'] {
  const { tensorParallelSize: tp, pipelineParallelSize: pp } = options;
  const needed = Math.max(count, tp * pp);
  return gpus.length >= needed ? gpus : Array.from({ length: needed }, (_, i) => gpus[i] ?? gpus[0]!);
}

function schemesAsked(globs: readonly string[]): QuantizationScheme[] {
  const all = loadPresets('quantizations');
  if (globs.length === 0) return [...all];
  const patterns = globs.flatMap((glob) => glob.split(',')).map((glob) => glob.trim());
  const matching = all.filter((scheme) => patterns.some((pattern) => matchesGlob(scheme, pattern)));
  if (matching.length > 0) return matching;
  const names = all.flatMap(({ id, synonyms = [] }) => [id, ...synonyms]);
  const near = nearestNames(patterns[0]!.replaceAll('*', ''), names);
  throw inputError('VRAM162', `no scheme matches "${printable(patterns.join(','))}"`, {
    hint: near.length > 0 ? `did you mean ${near.join(', ')}? (vram list quantizations)` : 'vram list quantizations',
    path: '--scheme',
  });
}

function matchesGlob({ id, synonyms = [] }: QuantizationScheme, glob: string): boolean {
  const escaped = glob
    .toLowerCase()
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const pattern = new RegExp(`^${escaped}$`);
  return [id, ...synonyms].some((name) => pattern.test(name) || pattern.test(name.replaceAll('_', '-')));
}

function recommendInput(input: RowsInput, rows: readonly QuantizeRow[], limit: number | undefined): RecommendInput {
  const schemes = new Map(input.schemes.map((scheme) => [scheme.id, scheme]));
  const own = input.published;
  const schemeOf = (row: QuantizeRow): QuantizationScheme => (row.published ? own! : schemes.get(row.scheme)!);
  const figures = new Map(rows.map((row) => [row, schemeFigures(schemeOf(row), input.quality)]));
  return {
    rows,
    bitsOf: (row) => schemeOf(row).bits,
    figuresOf: (row) => figures.get(row)!,
    maxQualityLoss: limit,
    plainScheme: plainScheme(input, rows),
  };
}

/** The model's own 16 bit, or FP16 where the GPU has no BF16 under any engine. */
function plainScheme({ spec }: RowsInput, rows: readonly QuantizeRow[]): string {
  if (spec.config.dtype === 'float16') return 'fp16';
  const brain = rows.filter(({ scheme }) => scheme === 'bf16' || scheme === 'gguf-bf16');
  const native = brain.some(({ hardware, state }) => hardware.level === 'native' && state !== 'refused');
  return brain.length === 0 || native ? 'bf16' : 'fp16';
}

/** Caches go with the recommended weights, else with those that come nearest. */
function cacheWeights(
  input: RowsInput,
  rows: readonly QuantizeRow[],
  choice: Choice | undefined,
): Partial<Record<EngineName, QuantizationScheme>> {
  const own = input.published;
  const weights: Partial<Record<EngineName, QuantizationScheme>> = {};
  const chosen = choice ? [choice.row, ...choice.alternatives.map(({ row }) => row)] : [];
  const states = ['fits', 'short', 'refused'];
  const nearest = [...rows].sort(
    (a, b) => states.indexOf(a.state) - states.indexOf(b.state) || a.shortfallBytes - b.shortfallBytes,
  );
  for (const engine of ['vllm', 'llama.cpp'] as const) {
    const row = [...chosen, ...nearest].find((candidate) => candidate.engine === engine);
    if (!row || row.state === 'refused') continue;
    weights[engine] = row.published ? own! : input.schemes.find(({ id }) => id === row.scheme)!;
  }
  return weights;
}

function usualNote(context: number, concurrency: number): Diagnostic {
  return {
    severity: 'note',
    code: 'VRAM521',
    message: `asked for ${concurrency === 1 ? 'one sequence' : `${concurrency} sequences`} of ${context} tokens, as nothing else was said`,
    hint: 'state your own: --context 32k --concurrency 8',
  };
}

/** The figure behind the recommendation is not of the user's domain. */
function domainWarning(
  domain: Domain | undefined,
  choice: Choice | undefined,
  rows: readonly QuantizeRow[],
): Diagnostic[] {
  if (domain === undefined || domain === 'general') return [];
  const measured = rows.some(({ quality }) => quality !== null && !quality.domainMissing);
  if (measured && !choice?.row.quality?.domainMissing) return [];
  const what = measured ? `for ${choice!.row.scheme}` : 'for any scheme';
  return [
    {
      severity: 'warning',
      code: 'VRAM522',
      message: `no published figure in the domain ${domain} ${what}: what is shown was measured on other tasks`,
      hint: 'measure it on your own task before you serve it',
      path: '--domain',
    },
  ];
}
