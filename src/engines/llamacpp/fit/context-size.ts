// The first half of -fit: does everything fit as asked, and if not, how much less context makes it fit. Memory is taken to grow
// linearly between the least and the largest context. Law: common/fit.cpp steps 1 and 2.
import type { LlamaRules } from '../rules.ts';
import type { LlamaOptions } from '../types.ts';
import {
  type DeviceBytes,
  FitFailure,
  type FitRun,
  freeBeside,
  measure,
  mulDiv,
  sum,
  toMiB,
  totalOf,
  toUint32,
  UINT32_MAX,
} from './run.ts';

interface ContextBounds {
  /** The user left the context open. */
  automatic: boolean;
  least: number;
  most: number;
  align: number;
  /** -c 0: the training length and nothing less. */
  full: boolean;
}

/** llama-server makes several slots over one unified cache unless told a number; other programs have one sequence. */
function sequencesOf(options: LlamaOptions, rules: LlamaRules): { sequences: number; streams: number } {
  const slots = rules['context.slots'] as { count: number; unified: boolean };
  const automatic = options.parallel === undefined && options.program !== 'llama-cli';
  const sequences = Math.max(1, options.parallel ?? (automatic ? slots.count : 1));
  const unified = options.kvUnified ?? (automatic && slots.unified);
  return { sequences, streams: unified ? 1 : sequences };
}

/** -c 0 asks for the whole training length, unless -fitc names a least context (arg.cpp). */
function contextBounds(run: FitRun): ContextBounds {
  const { options, hparams, rules } = run.input;
  const least = options.fitCtx ?? (options.ctxSize === 0 ? UINT32_MAX : 4096);
  const perSequence = rules['fit.contextPerSequence'] === true;
  const { sequences, streams } = perSequence ? sequencesOf(options, rules) : { sequences: 1, streams: 1 };
  return {
    automatic: run.state.nCtx === 0,
    least: Math.min(least * streams, UINT32_MAX),
    most: Math.min(hparams.contextLength * sequences, UINT32_MAX),
    align: (rules['fit.contextAlign'] as number) * streams,
    full: least === UINT32_MAX,
  };
}

interface Projection {
  used: number;
  free: number;
  surplus: number;
  modelBytes: number;
  fits: boolean;
}

function projectHost(run: FitRun, host: DeviceBytes): Projection {
  const used = totalOf(host);
  const free = run.input.hostTotalBytes ?? Number.POSITIVE_INFINITY;
  const surplus = free - used - (run.margins[0] ?? 0);
  run.log.push(`projected to use ${toMiB(used)} MiB of host memory vs. ${toMiB(free)} MiB of total host memory`);
  return { used, free, surplus, modelBytes: host.modelBytes, fits: surplus >= 0 };
}

function projectDevices(run: FitRun, devices: readonly DeviceBytes[]): Projection {
  const left = devices.map((device, id) => (run.free[id] ?? 0) - totalOf(device));
  const [used, free] = [sum(devices.map(totalOf)), sum(run.free)];
  const fits = left.every((bytes, id) => bytes >= (run.margins[id] ?? 0));
  if (devices.length > 1) {
    for (const [id, device] of devices.entries()) {
      const [total, margin] = [toMiB(run.total[id] ?? 0), toMiB(run.margins[id] ?? 0)];
      run.log.push(
        `CUDA${run.devices[id]}: ${total} total, ${toMiB(totalOf(device))} used, ${toMiB(left[id] ?? 0)} free vs. target of ${margin}`,
      );
    }
  }
  run.log.push(`projected to use ${toMiB(used)} MiB of device memory vs. ${toMiB(free)} MiB of free device memory`);
  return { used, free, surplus: sum(left) - sum(run.margins), modelBytes: sum(devices.map((d) => d.modelBytes)), fits };
}

/** Steps 1 and 2. True when nothing more is to be done. */
export function fitContext(run: FitRun): boolean {
  const bounds = contextBounds(run);
  const noDevice = run.devices.length === 0;
  let measured = measure(run);
  if (bounds.automatic && run.input.rules['fit.contextPerSequence'] === true) {
    run.state = { ...run.state, nCtx: bounds.most };
    if (bounds.most !== run.input.hparams.contextLength) measured = measure(run);
  }
  run.free = freeBeside(run, measured.devices);
  if (noDevice && run.input.rules['fit.hostMemory'] !== true) {
    run.log.push('no devices with dedicated memory found');
    return true;
  }
  const projection = noDevice ? projectHost(run, measured.host) : projectDevices(run, measured.devices);
  if (projection.fits) {
    run.log.push('free memory targets are met, no changes needed');
    return true;
  }
  if (projection.surplus < 0) {
    run.log.push(`need to reduce memory by ${toMiB(-projection.surplus)} MiB`);
    if (!bounds.automatic) run.log.push(`context size set by user to ${run.state.nCtx} -> no change`);
    else if (reduceContext(run, bounds, projection)) return true;
  }
  if (noDevice) throw new FitFailure('was unable to fit model into system memory by reducing context, abort');
  return false;
}

/** What all devices together may use. Several need room for layers that fit nowhere whole: half a layer (MoE: a sixth) each and one more. */
function usedTarget(run: FitRun, projection: Projection): number {
  const target = projection.free - sum(run.margins);
  const count = run.devices.length;
  if (count <= 1) return target;
  const asked = run.input.options.gpuLayers;
  const perLayer = Math.floor(
    projection.modelBytes / Math.min(typeof asked === 'number' ? asked : run.blocks, run.blocks),
  );
  return target - Math.floor(((count + 1) * perLayer) / (run.experts ? 6 : 2));
}

/** Interpolates the context. True when that alone makes the model fit. */
function reduceContext(run: FitRun, bounds: ContextBounds, projection: Projection): boolean {
  if (bounds.most <= bounds.least) {
    run.log.push(
      bounds.full
        ? `user has requested full context size of ${bounds.most} -> no change`
        : `default model context size is ${bounds.most} which is <= the min. context size of ${bounds.least} -> no change`,
    );
    return false;
  }
  const target = usedTarget(run, projection);
  run.state = { ...run.state, nCtx: bounds.least };
  const measured = measure(run);
  const usedLeast = run.devices.length === 0 ? totalOf(measured.host) : sum(measured.devices.map(totalOf));
  if (target <= usedLeast) {
    run.log.push(reduction(bounds.most, bounds.least, projection.used - usedLeast));
    return false;
  }
  const span = bounds.most - bounds.least;
  const guess = toUint32(BigInt(bounds.least) + mulDiv(span, target - usedLeast, projection.used - usedLeast));
  const nCtx = Math.max(guess - (guess % bounds.align), bounds.least);
  run.state = { ...run.state, nCtx };
  const bytesPerToken = Math.trunc((projection.used - usedLeast) / span);
  run.log.push(reduction(bounds.most, nCtx, (bounds.most - nCtx) * bytesPerToken));
  const done = run.devices.length <= 1;
  run.log.push(
    done
      ? 'entire model can be fit by reducing context'
      : 'entire model should be fit across devices by reducing context',
  );
  return done;
}

const reduction = (from: number, to: number, bytes: number): string =>
  `context size reduced from ${from} to ${to} -> need ${toMiB(bytes)} MiB less memory in total`;
