// What is drawn in a panel of the chart of models that share GPUs: areas of the memory that each holds, stacked, and lanes that are
// coloured while requests find no memory. Where panels, axes and words go is shared-chart.ts's.
import type { SharedPoint } from '../sim/sharing/result.ts';
import { GiB } from '../units.ts';
import { resample } from './spark.ts';

/** A model with a colour of its own, or all that have none. */
export interface Holder {
  name: string;
  colour: string;
  models: readonly number[];
}

export const laneHeight = 6;

/** More columns than this no eye tells apart in a panel so wide. */
const columns = 180;

/** Weights of all at the base, so that they lie still while all are in memory; the KV memory of each above, full below pale. */
export function areas(
  timeline: readonly SharedPoint[],
  holders: readonly Holder[],
  axis: number,
  per: number,
): object[] {
  const first = timeline[0]!.t;
  const length = timeline.at(-1)!.t - first;
  const values = (of: (held: SharedPoint['models'][number]) => number, { models }: Holder): number[] =>
    resample(
      timeline,
      (point) => models.reduce((sum, i) => sum + (point.models[i] ? of(point.models[i]) : 0), 0),
      columns,
    );
  const area = (
    key: number,
    means: readonly number[],
    style: { colour: string; opacity: number; hatch?: true },
  ): object => ({
    name: String(key),
    type: 'line',
    stack: `memory${axis}`,
    xAxisIndex: axis,
    yAxisIndex: axis,
    symbol: 'none',
    silent: true,
    lineStyle: { width: 0 },
    itemStyle: { color: style.colour, ...(style.hatch ? { decal: hatch } : {}) },
    areaStyle: { color: style.colour, opacity: style.opacity },
    data: edges(means).map(([at, bytes]) => [(first + at * length) / per, bytes / GiB]),
  });
  const weights = holders.map((holder, i) => {
    const means = values((held) => held.weights, holder);
    return { means, series: area(i, means, { colour: darker(holder.colour), opacity: 1, hatch: true }) };
  });
  const memory = holders.flatMap((holder, i) => {
    const used = values((held) => Math.min(held.used, held.mapped), holder);
    const unused = values((held) => Math.max(0, held.mapped - held.used), holder);
    return [
      { means: used, series: area(i, used, { colour: holder.colour, opacity: 1 }) },
      { means: unused, series: area(i, unused, { colour: holder.colour, opacity: 0.3 }) },
    ];
  });
  return [...weights, ...memory].filter(({ means }) => means.some((bytes) => bytes > 0)).map(({ series }) => series);
}

const hatch = {
  symbol: 'rect',
  color: 'rgba(255,255,255,0.28)',
  dashArrayX: [1, 0],
  dashArrayY: [1.5, 4],
  rotation: -Math.PI / 4,
};

/** Means of equal stretches as points: the first and the last hold to the ends. */
function edges(means: readonly number[]): (readonly [at: number, value: number])[] {
  const last = means.length - 1;
  if (last < 0) return [];
  return [[0, means[0]!], ...means.map((mean, i) => [(i + 0.5) / means.length, mean] as const), [1, means[last]!]];
}

/** A lane a holder: coloured over the stretches in which the head of its queue finds no memory. */
export function laneSeries(
  timeline: readonly SharedPoint[],
  holders: readonly Holder[],
  axis: number,
  per: number,
): object {
  const first = timeline[0]!.t;
  const step = (timeline.at(-1)!.t - first) / columns;
  const data = holders.flatMap(({ models, colour }, lane) => {
    const waits = resample(
      timeline,
      (point) => (models.some((i) => point.models[i]?.refused === true) ? 1 : 0),
      columns,
    );
    return stretches(waits).map(([from, to]) => ({
      value: [(first + from * step) / per, lane, (first + to * step) / per],
      itemStyle: { color: colour },
    }));
  });
  return {
    type: 'custom',
    xAxisIndex: axis,
    yAxisIndex: axis,
    silent: true,
    encode: { x: [0, 2], y: 1 },
    renderItem: (
      _: unknown,
      api: { value(i: number): number; coord(at: number[]): number[]; visual(of: string): string },
    ) => {
      const [x, y] = api.coord([api.value(0), api.value(1)]);
      const [to] = api.coord([api.value(2), api.value(1)]);
      const shape = { x, y: y! + 1, width: Math.max(1, to! - x!), height: laneHeight - 1.5 };
      return { type: 'rect', shape, style: { fill: api.visual('color') } };
    },
    data,
  };
}

/** From where to where values are above zero. */
function stretches(values: readonly number[]): [from: number, to: number][] {
  const found: [number, number][] = [];
  values.forEach((value, i) => {
    const open = found.at(-1);
    if (value <= 0) return;
    if (open?.[1] === i) open[1] = i + 1;
    else found.push([i, i + 1]);
  });
  return found;
}

function darker(colour: string): string {
  const parts = [1, 3, 5].map((i) => Math.round(Number.parseInt(colour.slice(i, i + 2), 16) * 0.62));
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}
