// -fit on, which is also what -ngl auto means: llama.cpp measures the model as asked and, where memory falls short, lowers an unset
// context, then the layers on GPUs, then experts block by block. Law: common/fit.cpp (v0.5.0, b10361, b10068), src/llama.cpp (b8390).
import { fitContext } from './fit/context-size.ts';
import { fillFromBack } from './fit/dense.ts';
import { allExperts, emptyLayout, stateOf } from './fit/layers.ts';
import {
  FitError,
  FitFailure,
  type FitInput,
  type FitRun,
  freeBeside,
  measure,
  type Override,
  optionsOf,
  startRun,
  sum,
  toMiB,
  totalOf,
} from './fit/run.ts';
import { fillWithExperts } from './fit/whole.ts';
import type { LlamaRules } from './rules.ts';
import type { LlamaOptions } from './types.ts';

export { type DeviceBytes, FitError, type FitInput, type Measure, type Measurement, type Override } from './fit/run.ts';

export interface FitResult {
  /** failure: llama.cpp gave up; error: a measuring load failed. It goes on with the options as they are in either case. */
  status: 'success' | 'failure' | 'error';
  /** The run's options with what the fit has set. */
  options: LlamaOptions;
  /** n_ctx as handed to the context; 0: left unset, which is the training length. */
  nCtx: number;
  /** null: left unset, all layers. */
  gpuLayers: number | null;
  /** Layers per GPU, with several of them. */
  tensorSplit?: readonly number[];
  /** Generated -ot. */
  overrides?: readonly Override[];
  /** What llama.cpp prints, in short. */
  log: readonly string[];
  /** Loads that were measured. */
  measurements: number;
}

/** Whether a start of this build fits its options: it has -fit, and the user did not turn it off. */
export function fits(options: LlamaOptions, rules: LlamaRules): boolean {
  return rules['fit.default'] !== undefined && (options.fit ?? rules['fit.default'] === true);
}

/** Solves -fit on as the build does, measurement by measurement. Only for builds where `fits` can be true. */
export function solveFit(input: FitInput): FitResult {
  const run = startRun(input);
  let status: FitResult['status'] = 'success';
  try {
    solve(run);
    run.log.push('successfully fit params to free device memory');
  } catch (error) {
    if (error instanceof FitFailure) status = 'failure';
    else if (error instanceof FitError) status = 'error';
    else throw error;
    run.log.push(`failed to fit params to free device memory: ${error.message}`);
  }
  const { nCtx, gpuLayers, tensorSplit, overrides } = run.state;
  return {
    status,
    options: optionsOf(run),
    nCtx,
    gpuLayers: gpuLayers ?? null,
    ...(tensorSplit ? { tensorSplit } : {}),
    ...(overrides?.length ? { overrides } : {}),
    log: run.log,
    measurements: run.measurements,
  };
}

function solve(run: FitRun): void {
  const { options, rules } = run.input;
  if (options.splitMode === 'tensor' && rules['fit.refusesTensorSplit'] === true) {
    throw new FitFailure('not implemented for SPLIT_MODE_TENSOR, abort');
  }
  if (fitContext(run)) return;
  refuseUserPlacement(run);

  const surplus = run.experts ? surplusWithoutExperts(run) : 0;
  const targets = run.free.map((free, id) => free - (run.margins[id] ?? 0));
  const dense = fillFromBack(run, targets, emptyLayout(run));
  const final = run.experts && surplus > 0 ? fillWithExperts(run, targets, dense) : dense;
  run.state = stateOf(run, final.layout);
}

/** Placement that the user set is never changed. */
function refuseUserPlacement(run: FitRun): void {
  const { gpuLayers, tensorSplit, splitMode, overrideTensor, cpuMoe, cpuMoeLayers } = run.input.options;
  if (gpuLayers !== undefined && gpuLayers !== 'auto') {
    throw new FitFailure(`n_gpu_layers already set by user to ${gpuLayers === 'all' ? -2 : gpuLayers}, abort`);
  }
  if (run.devices.length > 1) {
    if (tensorSplit?.slice(0, run.devices.length).some((share) => share !== 0)) {
      throw new FitFailure('model_params::tensor_split already set by user, abort');
    }
    if (splitMode === 'row') {
      throw new FitFailure('changing weight allocation for LLAMA_SPLIT_MODE_ROW not implemented, abort');
    }
  }
  if (overrideTensor?.length || cpuMoe || (cpuMoeLayers ?? 0) > 0) {
    throw new FitFailure('model_params::tensor_buft_overrides already set by user, abort');
  }
}

/** Bytes that all devices have left with every expert in host memory. */
function surplusWithoutExperts(run: FitRun): number {
  const { devices } = measure(run, { ...run.state, overrides: [allExperts(run)] });
  const surplus = sum(freeBeside(run, devices)) - sum(devices.map(totalOf)) - sum(run.margins);
  run.log.push(
    surplus > 0
      ? `with only dense weights in device memory there is a total surplus of ${toMiB(surplus)} MiB`
      : `with only dense weights in device memory there is still a total deficit of ${toMiB(-surplus)} MiB`,
  );
  return surplus;
}
