// One run of -fit: what it may change, what it measures, what it prints. llama.cpp measures by loading the model and the context
// without allocating; here that load is a function handed in. Law: common/fit.cpp common_get_device_memory_data_impl.
import type { LlamaHparams } from '../hparams.ts';
import type { LlamaRules } from '../rules.ts';
import type { LlamaOptions } from '../types.ts';

/** Bytes of one device, as llama_memory_breakdown counts them. */
export interface DeviceBytes {
  modelBytes: number;
  contextBytes: number;
  /** Of the graph as a measuring load reserves it: without the places that a real load gives norms and, with -nkvo, attention. */
  computeBytes: number;
  /** Recurrent states, part of contextBytes: even a measuring load allocates them, so that the free memory it reads is less. */
  recurrentBytes?: number;
}

/** What a load with certain options takes; devices in the order of FitInput.freeBytes. */
export interface Measurement {
  nCtx: number;
  devices: readonly DeviceBytes[];
  host: DeviceBytes;
}

/** Throws FitError where llama.cpp could not load the model or make the context. */
export type Measure = (options: LlamaOptions) => Measurement;

export interface Override {
  pattern: string;
  place: string;
}

export interface FitInput {
  options: LlamaOptions;
  hparams: LlamaHparams;
  /** Per GPU. */
  freeBytes: readonly number[];
  totalBytes: readonly number[];
  /** Total memory of the host, which only a run without a GPU asks for. */
  hostTotalBytes?: number;
  rules: LlamaRules;
  measure: Measure;
  /** Per GPU, what the build adds to its margin: a projector, in some builds a draft. Bytes. */
  reservedBytes?: readonly number[];
}

/** llama.cpp gives up and goes on with what it has (COMMON_PARAMS_FIT_STATUS_FAILURE). */
export class FitFailure extends Error {}
/** A measuring load failed (COMMON_PARAMS_FIT_STATUS_ERROR). */
export class FitError extends Error {}

/** The parameters that a fit may set; undefined and 0: as they were. */
export interface FitState {
  nCtx: number;
  gpuLayers?: number;
  tensorSplit?: readonly number[];
  overrides?: readonly Override[];
}

export interface FitRun {
  input: FitInput;
  /** Devices that take part: all, or the main one with -sm none. */
  devices: readonly number[];
  margins: readonly number[];
  /** Free memory as the build reads it while the first measured load is still there, bytes. */
  free: readonly number[];
  total: readonly number[];
  /** Blocks that a layer count of n_gpu_layers refers to; one more is the output layer. */
  blocks: number;
  experts: boolean;
  state: FitState;
  log: string[];
  measurements: number;
}

export const UINT32_MAX = 0xffff_ffff;
const defaultMarginMiB = 1024;
const MiBBytes = 1024 * 1024;

/** A margin given alone holds for every device; several are taken in turn, the rest keep the default (arg.cpp -fitt). Bytes. */
function marginsOf(options: LlamaOptions, count: number): number[] {
  const given = options.fitTargetMiB ?? [];
  return Array.from({ length: count }, (_, id) => {
    const mib = given.length === 1 ? given[0] : given[id];
    return (mib ?? defaultMarginMiB) * MiBBytes;
  });
}

export function startRun(input: FitInput): FitRun {
  const { options, hparams, rules } = input;
  const all = input.freeBytes.map((_, id) => id);
  const devices = options.splitMode === 'none' && all.length > 0 ? [options.mainGpu ?? 0] : all;
  return {
    input,
    devices,
    margins: marginsOf(options, Math.max(devices.length, 1)).map(
      (margin, i) => margin + (input.reservedBytes?.[i] ?? 0),
    ),
    free: [],
    total: devices.map((id) => input.totalBytes[id] ?? 0),
    blocks: hparams.layers - (rules['fit.countsDraftBlocks'] === true ? 0 : hparams.nextnLayers),
    experts: (hparams.experts?.count ?? 0) > 0,
    state: { nCtx: options.ctxSize ?? 0 },
    log: [],
    measurements: 0,
  };
}

/** The run's options with what was set so far. */
export function optionsOf(run: FitRun, state: FitState = run.state): LlamaOptions {
  const options: LlamaOptions = { ...run.input.options };
  if (state.nCtx > 0) options.ctxSize = state.nCtx;
  if (state.gpuLayers !== undefined) options.gpuLayers = state.gpuLayers;
  if (state.tensorSplit) options.tensorSplit = state.tensorSplit;
  if (state.overrides) options.overrideTensor = state.overrides;
  return options;
}

/** Measures a state; devices in the order of run.devices. */
export function measure(run: FitRun, state: FitState = run.state): { devices: DeviceBytes[]; host: DeviceBytes } {
  run.measurements += 1;
  const measured = run.input.measure(optionsOf(run, state));
  const devices = run.devices.map((id) => {
    const device = measured.devices[id];
    if (!device) throw new FitError(`no measurement of device ${id}`);
    return device;
  });
  return { devices, host: measured.host };
}

/** Free memory that a build reads while these loads are there, bytes. */
export function freeBeside(run: FitRun, devices: readonly DeviceBytes[]): number[] {
  return run.devices.map((id, index) => (run.input.freeBytes[id] ?? 0) - (devices[index]?.recurrentBytes ?? 0));
}

export const totalOf = (device: DeviceBytes): number => device.modelBytes + device.contextBytes + device.computeBytes;

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** a * b / c as int64_t computes it: the product wraps, the quotient is cut towards zero. */
export function mulDiv(a: number, b: number, c: number): bigint {
  if (c === 0) throw new FitError('division by zero');
  return BigInt.asIntN(64, BigInt(a) * BigInt(b)) / BigInt(c);
}

/** The low 32 bits, as an assignment to uint32_t keeps them. */
export const toUint32 = (value: bigint): number => Number(BigInt.asUintN(32, value));

/** MiB as the log prints them: cut, not rounded. */
export const toMiB = (bytes: number): number => Math.trunc(bytes / MiBBytes);
