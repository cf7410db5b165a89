// A model with experts whose other tensors all fit: blocks get their experts back, from the first device to the last, and one block
// more in part, which overflows to the next device or to the host. Law: common/fit.cpp step 4.
import type { Targets } from './dense.ts';
import { at, falsePosition, type Overflow, type Trial, tryLayout, wholeLayers, withDevice } from './layers.ts';
import type { FitRun } from './run.ts';

/** A trial, and the first device that still has blocks without experts. */
interface Progress extends Trial {
  denseStart: number;
}

export function fillWithExperts(run: FitRun, targets: Targets, dense: Trial): Trial {
  const count = run.devices.length;
  let progress: Progress = { ...dense, denseStart: firstFilled(dense, count) };
  for (let id = 0; id <= progress.denseStart && progress.denseStart < count; id += 1) {
    progress = convert(run, { id, target: at(targets, id), start: progress });
    progress = addPart(run, { id, targets, start: progress });
    const { layers, partial } = at(progress.layout.devices, id);
    run.log.push(`CUDA${run.devices[id]}: ${layers} layers (${partial} overflowing), ${at(progress.memory, id)} bytes`);
  }
  return progress;
}

/** Devices are filled from the back: the first of those that have layers. */
function firstFilled(trial: Trial, count: number): number {
  let first = count;
  for (let id = count - 1; id >= 0 && at(trial.layout.devices, id).layers > 0; id -= 1) first = id;
  return first;
}

/** Whole blocks on one device, as many as it takes, out of what later devices hold without experts. */
function convert(run: FitRun, options: { id: number; target: number; start: Progress }): Progress {
  const { id, target, start } = options;
  let low = start;
  let high = everything(run, id, start);
  if (at(high.memory, id) <= target) return high;

  const wholeOf = (trial: Trial): number => wholeLayers(at(trial.layout.devices, id));
  let delta = (wholeOf(high) - wholeOf(low)) >>> 0;
  while (delta > 1) {
    const step = falsePosition({ delta, target, low: at(low.memory, id), high: at(high.memory, id) });
    const test = moved(run, { id, step, start: low });
    if (at(test.memory, id) <= target) low = test;
    else high = test;
    delta = (wholeOf(high) - wholeOf(low)) >>> 0;
  }
  return low;
}

/** All blocks that have no experts yet, whole on one device; the output layer stays where it is. */
function everything(run: FitRun, id: number, start: Progress): Progress {
  const last = run.devices.length - 1;
  let layout = start.layout;
  for (let from = start.denseStart; from <= last; from += 1) {
    const moving = at(layout.devices, from).layers - (from === last ? 1 : 0);
    layout = withDevice(layout, id, { layers: at(layout.devices, id).layers + moving });
    layout = withDevice(layout, from, { layers: at(layout.devices, from).layers - moving, partial: 0 });
  }
  return { ...tryLayout(run, layout), denseStart: last };
}

function moved(run: FitRun, options: { id: number; step: number; start: Progress }): Progress {
  const { id, step, start } = options;
  let { layout, denseStart } = start;
  let converted = 0;
  for (; denseStart < run.devices.length; denseStart += 1) {
    const from = at(layout.devices, denseStart);
    const count = Math.min(step - converted, from.partial);
    layout = withDevice(layout, denseStart, { layers: from.layers - count, partial: from.partial - count });
    layout = withDevice(layout, id, { layers: at(layout.devices, id).layers + count });
    converted += count;
    if (at(layout.devices, denseStart).partial > 0) break;
  }
  return { ...tryLayout(run, layout), denseStart };
}

/** One block more with its attention, up and perhaps gate; if not even up has room, with its attention alone. */
function addPart(run: FitRun, options: { id: number; targets: Targets; start: Progress }): Progress {
  const { id, targets, start } = options;
  const last = run.devices.length - 1;
  const giving = at(start.layout.devices, start.denseStart);
  if (giving.layers <= (id < last ? 0 : 1)) return start;

  const partial = (giving.partial - 1) >>> 0;
  let layout = withDevice(start.layout, start.denseStart, { layers: giving.layers - 1, partial });
  const denseStart = start.denseStart + (partial === 0 ? 1 : 0);
  const taking = at(layout.devices, id);
  layout = withDevice(layout, id, { layers: taking.layers + 1, partial: (taking.partial + 1) >>> 0 });
  if (id < last) {
    const next = `CUDA${run.devices[id + 1]}`;
    layout = { ...layout, overflowTo: layout.overflowTo.map((place, index) => (index === id ? next : place)) };
  }
  const attempt = (overflow: Overflow): Progress | undefined => {
    const trial = tryLayout(run, withDevice(layout, id, { overflow }));
    const fits = (device: number): boolean => at(trial.memory, device) < at(targets, device);
    return fits(id) && (id === last || fits(id + 1)) ? { ...trial, denseStart } : undefined;
  };
  const up = attempt('up');
  if (up) return attempt('gate') ?? up;
  return attempt('attention') ?? start;
}
