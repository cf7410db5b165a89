// One row per scheme: its storage, the plan of the engine that serves it, the figure that speaks for it, what the GPU does with it. The
// model's own published form stands in place of the preset it equals.
import { ggufStorage } from '../../accounting/gguf-storage.ts';
import { checkpointStorage, type Storage } from '../../accounting/storage.ts';
import type { Architecture } from '../../architecture/types.ts';
import { isQuantized } from '../../spec/ggml-types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { ModelSpec } from '../../spec/model.ts';
import { type QuantizationScheme, schemeOfCheckpoint } from '../../spec/quantization.ts';
import { type LlamaSide, llamaOutcome, mixedModel } from './llama-rows.ts';
import type { Outcome } from './outcome.ts';
import { type QualityQuery, rowQuality } from './quality.ts';
import { ggufStepBytes, type StepShape, stepBytes } from './speed.ts';
import {
  type EngineAt,
  engineSupport,
  type HardwareLaws,
  type HardwareSupport,
  hardwareLevels,
  hardwareSupport,
} from './support.ts';
import type { EngineName, QuantizeRow } from './types.ts';
import { evenShare, type VllmSide, vllmOutcome } from './vllm-rows.ts';

export interface RowsInput {
  /** As resolved, its own quantization included. */
  spec: ModelSpec;
  architecture: Architecture;
  gpus: readonly GpuSpec[];
  schemes: readonly QuantizationScheme[];
  /** The checkpoint's own scheme, where the model is published quantized. */
  published: QuantizationScheme | undefined;
  laws: HardwareLaws;
  quality: QualityQuery;
  vllm?: VllmSide;
  llama?: LlamaSide;
  /** The model in 16 bit as a GGUF file describes it; undefined where llama.cpp has no architecture for it. */
  ggufSource: GgufModel | undefined;
  context: number;
  concurrency: number;
}

/** Rows in the order of the schemes; `schemes` has those that are asked about. */
export function quantizeRows(input: RowsInput): QuantizeRow[] {
  const { published } = input;
  return withPublished(input.schemes, published)
    .filter((scheme) => isRow(scheme, input))
    .map((scheme) => rowOf(scheme, input, published === scheme));
}

/** The checkpoint's own scheme, under the id of the preset that it equals. */
export function publishedScheme(
  { quantization }: ModelSpec,
  schemes: readonly QuantizationScheme[],
): QuantizationScheme | undefined {
  const own = quantization ? schemeOfCheckpoint(quantization) : undefined;
  if (!own) return undefined;
  const alike = schemes.find(
    (scheme) =>
      scheme.method === own.method &&
      scheme.format === own.format &&
      scheme.bits === own.bits &&
      (scheme.group ?? 0) === (own.group ?? 0) &&
      (scheme.actOrder ?? false) === (own.actOrder ?? false),
  );
  const near = alike ?? schemes.find(({ format, bits }) => format === own.format && bits === own.bits);
  return {
    ...own,
    id: alike?.id ?? own.id,
    ...(near?.name ? { name: near.name } : {}),
    ...(near?.law ? { law: near.law } : {}),
    ...(near?.activations ? { activations: near.activations } : {}),
    ...(near?.since ? { since: near.since } : {}),
    ...(near?.until ? { until: near.until } : {}),
  };
}

function withPublished(
  schemes: readonly QuantizationScheme[],
  published: QuantizationScheme | undefined,
): readonly QuantizationScheme[] {
  if (!published) return schemes;
  return [published, ...schemes.filter(({ id }) => id !== published.id)];
}

/** Schemes of engines that are not asked for, and those made for other kinds of models, have no row. */
function isRow(scheme: QuantizationScheme, input: RowsInput): boolean {
  if (scheme.id === 'none') return false;
  if (scheme.trained || (scheme.needs === 'experts' && input.architecture.forward.moe === undefined)) return false;
  const served = scheme.engines ?? ['vllm'];
  return served.length === 0 ? input.vllm !== undefined : engineFor(scheme, input) !== undefined;
}

/** The first of its engines that is asked for and has it, else the first asked for that ever had it as its own. */
function engineFor(scheme: QuantizationScheme, input: RowsInput): EngineName | undefined {
  const served = scheme.engines ?? ['vllm'];
  const sides = served.filter((name) => sideOf(name, input) !== undefined);
  return (
    sides.find((name) => engineSupport(scheme, sideOf(name, input)!.engine).supported) ??
    sides.find((name) => name === served[0])
  );
}

function sideOf(name: EngineName, { vllm, llama }: RowsInput): VllmSide | LlamaSide | undefined {
  return name === 'vllm' ? vllm : llama;
}

function rowOf(scheme: QuantizationScheme, input: RowsInput, published: boolean): QuantizeRow {
  const { architecture, vllm, llama } = input;
  const engine = (scheme.engines ?? ['vllm']).length === 0 ? undefined : engineFor(scheme, input);
  const mixed = scheme.format === 'gguf' ? mixedModel(input.ggufSource, scheme) : undefined;
  const storage = mixed ? ggufStorage(mixed) : storageOf(architecture, scheme);
  const outcome = outcomeFor(scheme, engine, input, { mixed, storage });
  const side = engine === undefined ? undefined : sideOf(engine, input);
  const hardware = side ? hardwareOf(input, scheme, side.engine) : noEngine;
  const has = side !== undefined && engineSupport(scheme, side.engine).supported;
  const refused = has && hardware.level === 'impossible';
  const { parameters, ...stored } = storage;
  return {
    scheme: scheme.id,
    name: scheme.name ?? scheme.id,
    engine: engine ?? null,
    published,
    storage: { ...stored, confidence: scheme.format === 'gguf' && !mixed ? 'estimated' : 'derived' },
    bitsPerWeight: (8 * storage.totalBytes) / parameters,
    ...outcome,
    ...(refused ? { state: 'refused' as const, fits: false, kv: null, shortfallBytes: 0, reason: hardware.how } : {}),
    activations: hardware.level === 'native' ? (scheme.activations ?? '16 bit') : activationsOf(scheme),
    quality: published || holdsBlocks(mixed, input) ? null : rowQuality(scheme, input.quality),
    hardware,
    engineSupport: [vllm, llama]
      .filter((known) => known !== undefined)
      .map((known) => engineSupport(scheme, known.engine)),
    decodeSpeedRatio: speedRatio(scheme, mixed, input),
    notes: [...notesOf(scheme, published, input), ...(holdsBlocks(mixed, input) ? [blocksNote] : [])],
  };
}

/** The source holds tensors in blocks already (gpt-oss' experts), and no mix touches those. */
function holdsBlocks(mixed: GgufModel | undefined, { ggufSource }: RowsInput): boolean {
  return mixed !== undefined && (ggufSource?.tensors.some(({ type }) => isQuantized(type)) ?? false);
}

const blocksNote = 'the experts stay in MXFP4 as published: figures of wholly quantized models do not hold';

const noEngine: HardwareSupport = { level: 'unknown', how: 'no engine here serves it', source: null };

function storageOf(architecture: Architecture, scheme: QuantizationScheme): Storage {
  const storage = checkpointStorage(architecture, scheme);
  if (scheme.format !== 'gguf') return storage;
  const totalBytes = Math.round((storage.parameters * (scheme.bitsPerWeight ?? scheme.bits)) / 8);
  return {
    ...storage,
    weightsBytes: totalBytes,
    scalesBytes: 0,
    zeroPointsBytes: 0,
    sixteenBitBytes: 0,
    otherBytes: 0,
    totalBytes,
  };
}

function outcomeFor(
  scheme: QuantizationScheme,
  engine: EngineName | undefined,
  input: RowsInput,
  { mixed, storage }: { mixed: GgufModel | undefined; storage: Storage },
): Outcome {
  const share = input.vllm
    ? evenShare(input.vllm, storage.totalBytes)
    : Math.ceil(storage.totalBytes / input.gpus.length);
  if (engine === 'vllm') return vllmOutcome(input.vllm!, scheme, share);
  if (engine === 'llama.cpp') return llamaOutcome(input.llama!, scheme, mixed, share);
  return {
    weightBytesPerGpu: share,
    kv: null,
    state: 'refused',
    fits: false,
    shortfallBytes: 0,
    reason: 'no engine here serves it',
    confidence: 'estimated',
  };
}

/** Of several kinds of GPU the one that can least. */
function hardwareOf({ gpus, laws }: RowsInput, { law }: QuantizationScheme, engine: EngineAt): HardwareSupport {
  const kinds = [...new Map(gpus.map((gpu) => [gpu.id, gpu])).values()];
  const all = kinds.map((gpu) => hardwareSupport(laws, law, gpu, engine));
  return all.reduce((a, b) => (hardwareLevels.indexOf(b.level) > hardwareLevels.indexOf(a.level) ? b : a));
}

/** Weight-only kernels take 16-bit activations; llama.cpp's take blocks of 8 bits. */
function activationsOf({ format, activations }: QuantizationScheme): string {
  return format === 'gguf' ? (activations ?? '8-bit blocks') : '16 bit';
}

function speedRatio(scheme: QuantizationScheme, mixed: GgufModel | undefined, input: RowsInput): number | null {
  const { spec, architecture, context, concurrency } = input;
  if (scheme.format === 'gguf' && !mixed) return null;
  const kvCacheDtype = input.vllm?.request.options.kvCacheDtype ?? 'bfloat16';
  const shape: StepShape = {
    spec,
    architecture,
    context,
    concurrency,
    kvCacheDtype: mixed ? 'bfloat16' : kvCacheDtype,
  };
  return stepBytes(shape, undefined) / (mixed ? ggufStepBytes(shape, mixed) : stepBytes(shape, scheme));
}

function notesOf(scheme: QuantizationScheme, published: boolean, { spec }: RowsInput): string[] {
  const notes = [...(scheme.notes ?? [])];
  if (published) notes.push('as its maker publishes it: the reference of the other rows');
  else if (spec.quantization) notes.push('made again from the published form: no such checkpoint need exist');
  if (scheme.online) notes.push('made while loading a 16-bit checkpoint');
  return notes;
}
