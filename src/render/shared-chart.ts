// Who holds what over time, when several models share GPUs, as SVG drawn by echarts on the server: one panel a policy on one time axis,
// the weights of every model (hatched) below, the KV memory of every model above them: blocks in use full, mapped and unused pale;
// under each panel a lane a model, coloured while requests of it wait.
import { thousands } from '../numbers.ts';
import type { SharedOutput, SharedPolicyResult } from '../plan/shared-output.ts';
import type { SharedPoint } from '../sim/sharing/result.ts';
import { GiB } from '../units.ts';
import { inGib } from './shared-columns.ts';
import { nameText } from './shared-text.ts';
import { seconds } from './simulate-text.ts';
import { resample } from './spark.ts';

const width = 860;
const left = 64;
const right = 20;
const areaHeight = 132;
const laneHeight = 6;

/** Okabe and Ito's colours, which people with any colour vision tell apart, and grey for all others together. */
const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b5a81c', '#8064a2'];
const otherColour = '#8a9099';
/** Read on white as on black. */
const textColour = '#727a87';
const lineColour = '#8a90995c';

/** More columns than this no eye tells apart in a panel so wide. */
const columns = 180;

/** A model with a colour of its own, or all that have none. */
interface Holder {
  name: string;
  colour: string;
  models: readonly number[];
}

/** `title` heads the whole; undefined leaves it out. */
export async function sharedSvg(output: SharedOutput, title?: string): Promise<string> {
  const echarts = await import('echarts');
  const drawn = output.result.policies.filter(({ timeline }) => timeline.length > 1);
  const holders = holdersOf(output);
  const end = Math.max(0, ...drawn.map(({ timeline }) => timeline.at(-1)!.t));
  const most = Math.max(1, ...drawn.map((policy) => Math.max(heldAtMost(policy), capacityOf(policy))));
  const head = title === undefined ? 8 : 34;
  const top = head + 22 * legendRows(holders) + 26;
  const step = areaHeight + holders.length * laneHeight + 46;
  const height = top + Math.max(1, drawn.length) * step + 18;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  const scale = { end, most, unit: unitOf(end) };
  const panels = drawn.map((policy, i) =>
    panel(policy, holders, { index: i, top: top + i * step, last: i === drawn.length - 1 }, scale),
  );
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: 'system-ui, sans-serif', color: textColour },
    title: [
      ...(title === undefined ? [] : [text(title, 12, 8, 15, 'bold')]),
      ...(drawn.length === 0
        ? [text('nothing ran', width / 2 - 40, top + 40, 15)]
        : [text(shadesText, 12, head + 22 * legendRows(holders), 11)]),
      ...panels.flatMap((part) => part.title),
    ],
    legend: {
      show: drawn.length > 0,
      top: head,
      left: 8,
      width: width - 16,
      itemWidth: 12,
      itemHeight: 12,
      itemGap: 14,
      textStyle: { color: textColour },
      formatter: (key: string) => padded(holders[Number(key)]?.name ?? ''),
      data: holders.map(({ colour }, i) => ({
        name: String(i),
        icon: 'roundRect',
        itemStyle: { color: colour, decal: 'none' },
      })),
    },
    grid: panels.flatMap((part) => part.grid),
    xAxis: panels.flatMap((part) => part.xAxis),
    yAxis: panels.flatMap((part) => part.yAxis),
    series: panels.flatMap((part) => part.series),
  });
  const svg = slim(chart.renderToSVGString());
  chart.dispose();
  return `${svg}\n`;
}

export const shadesText =
  'hatched: weights and what the engine needs besides;  full: KV blocks in use;  pale: mapped, not in use;  dashed: all there is;  lanes below: requests wait';

/** Models in their order; where there are more than colours, the largest have one and the others share grey. */
function holdersOf({ input, result }: SharedOutput): Holder[] {
  const all = input.models.map(({ id }, i) => ({ i, id, bytes: largest(result.policies, i) }));
  const named =
    all.length <= colours.length
      ? all
      : [...all]
          .sort((a, b) => b.bytes - a.bytes || a.i - b.i)
          .slice(0, colours.length)
          .sort((a, b) => a.i - b.i);
  const own = named.map(({ i, id }, k): Holder => ({ name: nameText(id, 24), colour: colours[k]!, models: [i] }));
  const rest = all.filter((model) => !named.includes(model)).map(({ i }) => i);
  return rest.length === 0 ? own : [...own, { name: `${rest.length} others`, colour: otherColour, models: rest }];
}

function largest(policies: readonly SharedPolicyResult[], model: number): number {
  return policies.reduce((most, { timeline }) => {
    const peak = timeline.reduce((top, { models }) => Math.max(top, bytesOf(models[model])), 0);
    return Math.max(most, peak);
  }, 0);
}

function bytesOf(held: SharedPoint['models'][number] | undefined): number {
  return held ? held.weights + held.mapped : 0;
}

/** All that models may hold: the pool, and what is there beside it from the start. */
function capacityOf({ pool, timeline }: SharedPolicyResult): number {
  return pool.poolBytes + timeline[0]!.models.reduce((sum, { weights }) => sum + weights, 0);
}

function heldAtMost({ timeline }: SharedPolicyResult): number {
  return timeline.reduce(
    (most, { models }) =>
      Math.max(
        most,
        models.reduce((sum, held) => sum + bytesOf(held), 0),
      ),
    0,
  );
}

interface Scale {
  end: number;
  most: number;
  unit: { per: number; name: string };
}

function unitOf(end: number): Scale['unit'] {
  return end > 7200 ? { per: 3600, name: 'h' } : end > 300 ? { per: 60, name: 'min' } : { per: 1, name: 's' };
}

interface Panel {
  title: object[];
  grid: object[];
  xAxis: object[];
  yAxis: object[];
  series: object[];
}

function panel(
  policy: SharedPolicyResult,
  holders: readonly Holder[],
  { index, top, last }: { index: number; top: number; last: boolean },
  { end, most, unit }: Scale,
): Panel {
  const axes = { area: index * 2, lanes: index * 2 + 1 };
  const lanes = holders.length * laneHeight;
  const max = end / unit.per;
  return {
    title: [text(panelTitle(policy), left, top, 12, 'bold')],
    grid: [
      { left, right, top: top + 20, height: areaHeight },
      { left, right, top: top + 20 + areaHeight + 2, height: lanes },
    ],
    xAxis: [
      {
        type: 'value',
        gridIndex: axes.area,
        min: 0,
        max,
        axisLabel: { show: false },
        axisTick: { show: false },
        splitLine: line,
        axisLine,
      },
      {
        type: 'value',
        gridIndex: axes.lanes,
        min: 0,
        max,
        axisLabel: { show: last, color: textColour, formatter: `{value} ${unit.name}`, showMaxLabel: false },
        axisTick: { show: last },
        splitLine: line,
        axisLine,
      },
    ],
    yAxis: [
      {
        type: 'value',
        gridIndex: axes.area,
        max: (most * 1.04) / GiB,
        splitNumber: 3,
        axisLabel: { color: textColour, formatter: '{value} GiB', showMaxLabel: false },
        axisLine,
        axisTick: { show: false },
        splitLine: line,
      },
      {
        type: 'value',
        gridIndex: axes.lanes,
        min: 0,
        max: holders.length,
        inverse: true,
        axisLabel: { show: false },
        axisTick: { show: false },
        axisLine,
        splitLine: { show: false },
      },
    ],
    series: [
      ...areas(policy.timeline, holders, axes.area, unit.per),
      limit(policy, axes.area),
      laneSeries(policy.timeline, holders, axes.lanes, unit.per),
    ],
  };
}

const line = { show: true, lineStyle: { color: lineColour, width: 0.5 } };
const axisLine = { show: true, onZero: false, lineStyle: { color: lineColour } };

function panelTitle({ policy, runs, pool }: SharedPolicyResult): string {
  const figures = [
    `stranded ${inGib(pool.strandedBytes)} GiB`,
    `refused ${thousands(pool.refusals)}x`,
    pool.requests.finished === 0 ? 'nothing served' : `TTFT p99 ${seconds(pool.ttftSeconds.p99)}`,
  ];
  return `${nameText(policy)}${runs ? '' : ' (no engine runs it)'}: ${figures.join(', ')}`;
}

/** Weights of all at the base, so that they lie still while all are in memory; the KV memory of each above, full below pale. */
function areas(timeline: readonly SharedPoint[], holders: readonly Holder[], axis: number, per: number): object[] {
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

/** Where the memory ends. */
function limit(policy: SharedPolicyResult, axis: number): object {
  return {
    type: 'line',
    xAxisIndex: axis,
    yAxisIndex: axis,
    data: [],
    markLine: {
      symbol: 'none',
      silent: true,
      label: { show: false },
      lineStyle: { color: textColour, type: 'dashed', width: 1 },
      data: [{ yAxis: capacityOf(policy) / GiB }],
    },
  };
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

/** A lane a holder: coloured over the stretches in which some request waits. */
function laneSeries(timeline: readonly SharedPoint[], holders: readonly Holder[], axis: number, per: number): object {
  const first = timeline[0]!.t;
  const step = (timeline.at(-1)!.t - first) / columns;
  const data = holders.flatMap(({ models, colour }, lane) => {
    const waits = resample(
      timeline,
      (point) => (models.some((i) => (point.models[i]?.waiting ?? 0) > 0) ? 1 : 0),
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

function text(words: string, x: number, y: number, fontSize: number, fontWeight = 'normal'): object {
  return { text: words, left: x, top: y, padding: 0, textStyle: { fontSize, fontWeight, color: textColour } };
}

function darker(colour: string): string {
  const parts = [1, 3, 5].map((i) => Math.round(Number.parseInt(colour.slice(i, i + 2), 16) * 0.62));
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}

/** echarts measures text without its font: room for what it takes as too narrow. */
function padded(name: string): string {
  return name + ' '.repeat(Math.ceil(name.length / 7));
}

/** Rows that the legend takes, at the widest that a letter is. */
function legendRows(holders: readonly Holder[]): number {
  let rows = 1;
  let at = 0;
  for (const { name } of holders) {
    const wide = 32 + padded(name).length * 7.2;
    if (at > 0 && at + wide > width - 16) {
      rows++;
      at = 0;
    }
    at += wide;
  }
  return rows;
}

/** Smaller by three quarters and the same to the eye: a tenth of a pixel, level runs by their ends, no lines without width. */
function slim(svg: string): string {
  return svg
    .replace(/<path [^>]*stroke-width="0"[^>]*><\/path>\n?/g, '')
    .replace(/ d="[^"]*"/g, (path) =>
      levelRuns(path.replace(/-?\d+\.\d{2,}/g, (number) => String(Number(Number(number).toFixed(1))))),
    );
}

function levelRuns(path: string): string {
  return path.replace(/(L[-\d.]+ ([-\d.]+))(?:L[-\d.]+ \2(?=L[-\d.]+ \2(?![\d.])))+/g, '$1');
}
