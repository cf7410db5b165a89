// Layers per device, and the options that make llama.cpp load them so: -ngl, -ts and generated -ot patterns for blocks of which
// only a part stays. Law: common/fit.cpp set_ngl_tensor_split_tbo, get_memory_for_layers.
import { FitError, type FitRun, type FitState, measure, mulDiv, type Override, totalOf, toUint32 } from './run.ts';

/** What of the first partial block stays: all but experts, attention, attention and up, attention, up and gate. */
export type Overflow = 'experts' | 'attention' | 'up' | 'gate';

/** One device: whole layers first, then `partial` ones without experts. Both are uint32_t and wrap like it. */
export interface DeviceLayers {
  layers: number;
  partial: number;
  overflow: Overflow;
}

/** Layers of every device, and where the first partial block of each overflows to. */
export interface Layout {
  devices: readonly DeviceLayers[];
  overflowTo: readonly string[];
}

/** A layout with what it takes per device, bytes. */
export interface Trial {
  layout: Layout;
  memory: readonly number[];
}

export const host = 'CPU';
const patternLimit = 1000;

export const wholeLayers = (device: DeviceLayers): number => (device.layers - device.partial) >>> 0;

export const at = <T>(values: readonly T[], index: number): T => {
  const value = values[index];
  if (value === undefined) throw new FitError(`no device ${index}`);
  return value;
};

/** The layout with some devices changed. */
export function withDevice(layout: Layout, id: number, change: Partial<DeviceLayers>): Layout {
  return {
    ...layout,
    devices: layout.devices.map((device, index) => (index === id ? { ...device, ...change } : device)),
  };
}

export function emptyLayout(run: FitRun): Layout {
  return {
    devices: run.devices.map(() => ({ layers: 0, partial: 0, overflow: 'experts' })),
    overflowTo: run.devices.map(() => host),
  };
}

function pattern(run: FitRun, block: number | string, overflow: Overflow): string {
  if (typeof block === 'number' && block >= patternLimit)
    throw new FitError(`at most ${patternLimit} model layers are supported`);
  const patterns = run.input.rules['fit.overflowPatterns'] as Readonly<Record<Overflow, string>>;
  return `blk\\.${block}\\.${patterns[overflow]}`;
}

/** All experts of the model in host memory. */
export const allExperts = (run: FitRun): Override => ({ pattern: pattern(run, '\\d+', 'experts'), place: host });

/** The options of a layout. Blocks are counted from the back: the first devices take the first of the offloaded ones. */
export function stateOf(run: FitRun, layout: Layout): FitState {
  const gpuLayers = layout.devices.reduce((count, device) => (count + device.layers) >>> 0, 0);
  const overrides: Override[] = [];
  let block = (run.blocks + 1 - gpuLayers) >>> 0;
  for (const [id, device] of layout.devices.entries()) {
    block = (block + wholeLayers(device)) >>> 0;
    const end = (block + device.partial) >>> 0;
    for (let index = block; index < end; index += 1) {
      const first = index === block;
      overrides.push({
        pattern: pattern(run, index, first ? device.overflow : 'experts'),
        place: first ? at(layout.overflowTo, id) : host,
      });
    }
    block = end;
  }
  const several = run.devices.length > 1;
  return {
    nCtx: run.state.nCtx,
    gpuLayers,
    ...(several ? { tensorSplit: layout.devices.map((device) => device.layers) } : {}),
    overrides,
  };
}

export function tryLayout(run: FitRun, layout: Layout): Trial {
  return { layout, memory: measure(run, stateOf(run, layout)).devices.map(totalOf) };
}

/** Where a device's memory meets its target on the straight line between two layouts, `delta` layers apart: at least one step, at most delta - 1. */
export function falsePosition(options: { delta: number; target: number; low: number; high: number }): number {
  const { delta, target, low, high } = options;
  const step = toUint32(mulDiv(delta, target - low, high - low));
  return Math.min(Math.max(step, 1), delta - 1);
}
