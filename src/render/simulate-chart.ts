// Memory and queues of simulated runs over time as SVG, drawn by echarts on the server: token states, reserved, fragmentation,
// cached and free stacked to the whole pool, preemptions as marks on top, running and waiting requests below.
import type { NamedRun } from '../plan/simulate-output.ts';
import type { TimelinePoint } from '../sim/result.ts';
import { namesOf } from './simulate-runs.ts';

const width = 860;
const panelHeight = 306;

const layers = [
  ['token states', '#3d9a5f', (point: TimelinePoint) => point.tokenStates],
  ['reserved', '#d9a13b', (point: TimelinePoint) => point.reserved],
  ['internal frag.', '#9a5fb0', (point: TimelinePoint) => point.internalFragmentation],
  ['external frag.', '#c2543f', (point: TimelinePoint) => point.externalFragmentation],
] as const;
const cachedColour = '#7fb3d9';
const freeColour = '#e9ecf0';
const preemptionColour = '#b3261e';

/** One panel a run; `title` heads the whole, undefined leaves it out. */
export async function timelineSvg(runs: readonly NamedRun[], title?: string): Promise<string> {
  const echarts = await import('echarts');
  const drawn = runs.filter(({ timeline }) => timeline.length > 1);
  const top = title === undefined ? 34 : 62;
  const height = top + Math.max(1, drawn.length) * panelHeight;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  const names = runs.length > 1 ? namesOf(runs) : [];
  const panels = drawn.map((run, i) => panel(run, i, top, names[runs.indexOf(run)]));
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: 'system-ui, sans-serif' },
    title: [
      ...(title === undefined ? [] : [{ text: title, left: 12, top: 8, textStyle: { fontSize: 15 } }]),
      ...(drawn.length === 0 ? [{ text: 'nothing ran', left: 'center', top: top + 60 }] : []),
      ...panels.flatMap((part) => part.title),
    ],
    legend: {
      top: top - 30,
      left: 8,
      itemWidth: 12,
      itemHeight: 12,
      itemGap: 14,
      data: (drawn.length > 0 ? legendOf(drawn) : []).map((name) => ({
        name: legendName(name),
        icon: name === 'preemptions' ? 'path://M0 0L10 0L5 8Z' : 'roundRect',
      })),
    },
    grid: panels.flatMap((part) => part.grid),
    xAxis: panels.flatMap((part) => part.xAxis),
    yAxis: panels.flatMap((part) => part.yAxis),
    series: panels.flatMap((part) => part.series),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

/** Only what occurs. */
function legendOf(runs: readonly NamedRun[]): string[] {
  const points = runs.flatMap(({ timeline }) => timeline);
  return [
    ...layers
      .filter(([name, , value]) => name === 'token states' || points.some((point) => value(point) > 0))
      .map(([name]) => name),
    ...(points.some(({ cachedBlocks }) => cachedBlocks > 0) ? ['cached'] : []),
    'free',
    ...(points.some(({ preemptions }) => preemptions > 0) ? ['preemptions'] : []),
    'running',
    ...(points.some(({ waiting, swapped }) => waiting + swapped > 0) ? ['waiting'] : []),
  ];
}

/** echarts measures text without its font: room for what it takes as too narrow. */
export function legendName(name: string): string {
  return name + ' '.repeat(Math.ceil(name.length / 7));
}

export interface TimeUnit {
  /** Seconds. */
  per: number;
  name: string;
}

/** In which a time axis of so many seconds reads best. */
export function timeUnit(end: number): TimeUnit {
  return end > 7200 ? { per: 3600, name: 'h' } : end > 300 ? { per: 60, name: 'min' } : { per: 1, name: 's' };
}

export interface Panel {
  title: object[];
  grid: object[];
  xAxis: object[];
  yAxis: object[];
  series: object[];
}

function panel({ timeline, pool }: NamedRun, index: number, offset: number, name: string | undefined): Panel {
  const top = offset + index * panelHeight + (name === undefined ? 6 : 26);
  const end = timeline.at(-1)!.t;
  const unit = timeUnit(end);
  const at = ({ t }: TimelinePoint): number => t / unit.per;
  const usable = Math.max(1, pool.numBlocks - 1);
  const stacked = stack(timeline, usable);
  const axes = { memory: index * 2, queue: index * 2 + 1 };
  const area = (label: string, colour: string, values: readonly number[]): object => ({
    name: legendName(label),
    type: 'line',
    step: 'end',
    stack: `memory${index}`,
    xAxisIndex: axes.memory,
    yAxisIndex: axes.memory,
    symbol: 'none',
    lineStyle: { width: 0 },
    itemStyle: { color: colour },
    areaStyle: { color: colour, opacity: 1 },
    data: values.map((value, i) => [at(timeline[i]!), value * 100]),
  });
  const line = (label: string, colour: string, value: (point: TimelinePoint) => number): object => ({
    name: legendName(label),
    type: 'line',
    step: 'end',
    xAxisIndex: axes.queue,
    yAxisIndex: axes.queue,
    symbol: 'none',
    lineStyle: { width: 1.5, color: colour },
    itemStyle: { color: colour },
    data: timeline.map((point) => [at(point), value(point)]),
  });
  return {
    title: name === undefined ? [] : [{ text: name, left: 56, top: top - 24, textStyle: { fontSize: 12 } }],
    grid: [
      { left: 56, right: 24, top, height: 170 },
      { left: 56, right: 24, top: top + 188, height: 68 },
    ],
    xAxis: [
      timeAxis(axes.memory, end / unit.per, { show: false }),
      timeAxis(axes.queue, end / unit.per, { formatter: `{value} ${unit.name}`, showMaxLabel: false }),
    ],
    yAxis: [
      { type: 'value', gridIndex: axes.memory, max: 100, axisLabel: { formatter: '{value} %' } },
      { type: 'value', gridIndex: axes.queue, minInterval: 1, splitNumber: 2 },
    ],
    series: [
      ...layers.map(([label, colour], i) => area(label, colour, stacked[i]!)),
      area('cached', cachedColour, stacked[layers.length]!),
      area('free', freeColour, stacked[layers.length + 1]!),
      preemptionSeries(
        axes.memory,
        preemptionMarks(timeline).map((t) => t / unit.per),
      ),
      line('running', '#3b6fb6', ({ running }) => running),
      line('waiting', '#d9822b', ({ waiting, swapped }) => waiting + swapped),
    ],
  };
}

function timeAxis(gridIndex: number, max: number, axisLabel: object): object {
  return { type: 'value', gridIndex, max, axisLabel, splitLine: { show: false } };
}

function preemptionSeries(axis: number, times: readonly number[]): object {
  return {
    name: legendName('preemptions'),
    type: 'scatter',
    symbol: 'path://M0 0L10 0L5 8Z',
    symbolSize: [8, 7],
    z: 5,
    xAxisIndex: axis,
    yAxisIndex: axis,
    itemStyle: { color: preemptionColour },
    data: times.map((t) => [t, 97]),
  };
}

/** At most so many marks side by side: where preemptions are dense, one stands for its neighbours. */
const mostMarks = 96;

function preemptionMarks(timeline: readonly TimelinePoint[]): number[] {
  const start = timeline[0]!.t;
  const width = (timeline.at(-1)!.t - start) / mostMarks;
  const marks = new Map<number, number>();
  for (const { t, preemptions } of timeline) {
    const place = Math.floor((t - start) / width);
    if (preemptions > 0 && !marks.has(place)) marks.set(place, t);
  }
  return [...marks.values()];
}

/** Shares by layer, cached and free last, that sum to 1 at every point. */
function stack(timeline: readonly TimelinePoint[], usable: number): number[][] {
  const values = layers.map(([, , value]) => timeline.map(value));
  const left = timeline.map((_, i) => Math.max(0, 1 - values.reduce((sum, layer) => sum + layer[i]!, 0)));
  const cached = timeline.map(({ cachedBlocks }, i) => Math.min(left[i]!, cachedBlocks / usable));
  return [...values, cached, left.map((rest, i) => rest - cached[i]!)];
}
