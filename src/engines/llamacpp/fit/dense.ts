// Filling devices with layers from the last device to the first, each by the method of false position; of a model with experts only
// what is not an expert. Law: common/fit.cpp step 3.
import { at, falsePosition, type Layout, type Trial, tryLayout, withDevice } from './layers.ts';
import type { FitRun } from './run.ts';

/** Most memory that each device may use, bytes. */
export type Targets = readonly number[];

/** As many layers as every device takes. The last device has the output layer, which is never partial. */
export function fillFromBack(run: FitRun, targets: Targets, empty: Layout): Trial {
  let trial = tryLayout(run, empty);
  for (let id = run.devices.length - 1; id >= 0; id -= 1) {
    trial = fillDevice(run, { id, target: at(targets, id), start: trial });
    run.log.push(
      `CUDA${run.devices[id]}: ${at(trial.layout.devices, id).layers} layers, ${at(trial.memory, id)} bytes`,
    );
  }
  return trial;
}

function fillDevice(run: FitRun, options: { id: number; target: number; start: Trial }): Trial {
  const { id, target, start } = options;
  const last = id === run.devices.length - 1;
  const later = start.layout.devices.slice(id + 1).reduce((count, device) => count + device.layers, 0);
  const unassigned = run.blocks + 1 - later;
  if (unassigned <= 0) return start;
  const partial = run.experts ? { partial: last ? unassigned - 1 : unassigned } : {};
  let low = start;
  let high = tryLayout(run, withDevice(start.layout, id, { layers: unassigned, ...partial }));
  if (at(high.memory, id) <= target) return high;

  const layersOf = (trial: Trial): number => at(trial.layout.devices, id).layers;
  let delta = layersOf(high) - layersOf(low);
  while (delta > 1) {
    const step = falsePosition({ delta, target, low: at(low.memory, id), high: at(high.memory, id) });
    const device = at(low.layout.devices, id);
    const output = last && device.partial === 0 ? 1 : 0;
    const more = run.experts ? { partial: device.partial + step - output } : {};
    const test = tryLayout(run, withDevice(low.layout, id, { layers: device.layers + step, ...more }));
    if (at(test.memory, id) <= target) low = test;
    else high = test;
    delta = layersOf(high) - layersOf(low);
  }
  return low;
}
