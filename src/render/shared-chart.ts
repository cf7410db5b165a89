// Who holds what over time, when several models share GPUs, as SVG drawn by echarts on the server: one panel a run on one time axis,
// the weights of every model (hatched) below, the KV memory of every model above them: blocks in use full, mapped and unused pale;
// under each panel a lane a model, coloured while requests of it wait.
import { thousands } from '../numbers.ts';
import type { SharedOutput, SharedPolicyResult } from '../plan/shared-output.ts';
import type { SharedPoint } from '../sim/sharing/result.ts';
import { GiB } from '../units.ts';
import { areas, type Holder, laneHeight, laneSeries } from './shared-areas.ts';
import { inGib } from './shared-columns.ts';
import { namedRuns, nameText } from './shared-text.ts';
import { legendName, type Panel, type TimeUnit, timeUnit } from './simulate-chart.ts';
import { seconds } from './simulate-text.ts';

const width = 860;
const left = 64;
const right = 20;
const areaHeight = 150;

/** Okabe and Ito's colours, which people with any colour vision tell apart, and grey for all others together. */
const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b5a81c', '#8064a2'];
const otherColour = '#8a9099';
/** Read on white as on black. */
const textColour = '#727a87';
const lineColour = '#8a90995c';

/** `title` heads the whole; undefined leaves it out. */
export async function sharedSvg(output: SharedOutput, title?: string): Promise<string> {
  const echarts = await import('echarts');
  const named = namedRuns(output).filter(({ row }) => row.timeline.length > 1);
  const drawn = named.map(({ row }) => row);
  const holders = holdersOf(output);
  const end = Math.max(0, ...drawn.map(({ timeline }) => timeline.at(-1)!.t));
  const most = Math.max(1, ...drawn.map((policy) => Math.max(heldAtMost(policy), capacityOf(policy))));
  const head = title === undefined ? 8 : 34;
  const top = head + 22 * legendRows(holders) + 26;
  const step = areaHeight + holders.length * laneHeight + 46;
  const height = top + Math.max(1, drawn.length) * step + 18;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  const scale = { end, most, unit: timeUnit(end) };
  const panels = named.map((one, i) =>
    panel(one, holders, { index: i, top: top + i * step, last: i === drawn.length - 1 }, scale),
  );
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: 'system-ui, sans-serif', color: textColour },
    title: [
      ...(title === undefined ? [] : [text(title, 12, 8, 15, 'bold')]),
      ...(drawn.length === 0
        ? [text('nothing ran', width / 2 - 40, top + 40, 15)]
        : [text(shadesText(drawn), 12, head + 22 * legendRows(holders), 11)]),
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
      formatter: (key: string) => legendName(holders[Number(key)]?.name ?? ''),
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

function shadesText(policies: readonly SharedPolicyResult[]): string {
  return [
    'hatched: weights and engine',
    'full: blocks in use',
    'pale: mapped, but empty or cached',
    ...(policies.some((policy) => capacityOf(policy) > 0) ? ['dashed: all there is'] : []),
    'lanes: requests find no memory',
  ].join(';  ');
}

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

/** All that models may hold: the pool, and what is there beside it from the start; 0 where not all fit at once. */
function capacityOf({ pool, timeline }: SharedPolicyResult): number {
  if (pool.poolBytes <= 0) return 0;
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
  unit: TimeUnit;
}

function panel(
  { name, row: policy }: { name: string; row: SharedPolicyResult },
  holders: readonly Holder[],
  { index, top, last }: { index: number; top: number; last: boolean },
  { end, most, unit }: Scale,
): Panel {
  const axes = { area: index * 2, lanes: index * 2 + 1 };
  const lanes = holders.length * laneHeight;
  return {
    title: [text(panelTitle(name, policy), left, top, 12, 'bold')],
    grid: [
      { left, right, top: top + 20, height: areaHeight },
      { left, right, top: top + 20 + areaHeight + 2, height: lanes },
    ],
    xAxis: timeAxes(axes, end / unit.per, last ? unit.name : undefined),
    yAxis: memoryAxes(axes, most, holders.length),
    series: [
      ...areas(policy.timeline, holders, axes.area, unit.per),
      ...(capacityOf(policy) > 0 ? [limit(policy, axes.area)] : []),
      laneSeries(policy.timeline, holders, axes.lanes, unit.per),
    ],
  };
}

interface Axes {
  area: number;
  lanes: number;
}

/** `unit` is written under the last panel only. */
function timeAxes(axes: Axes, max: number, unit: string | undefined): object[] {
  return [
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
      axisLabel: { show: unit !== undefined, color: textColour, formatter: `{value} ${unit}`, showMaxLabel: false },
      axisTick: { show: unit !== undefined },
      splitLine: line,
      axisLine,
    },
  ];
}

function memoryAxes(axes: Axes, most: number, lanes: number): object[] {
  return [
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
      max: lanes,
      inverse: true,
      axisLabel: { show: false },
      axisTick: { show: false },
      axisLine,
      splitLine: { show: false },
    },
  ];
}

const line = { show: true, lineStyle: { color: lineColour, width: 0.5 } };
const axisLine = { show: true, onZero: false, lineStyle: { color: lineColour } };

function panelTitle(name: string, { runs, pool }: SharedPolicyResult): string {
  const figures = [
    `stranded ${inGib(pool.strandedBytes)} GiB`,
    `refused ${thousands(pool.refusals)}x`,
    pool.requests.finished === 0 ? 'nothing served' : `TTFT p99 ${seconds(pool.ttftSeconds.p99)}`,
  ];
  return `${nameText(name)}${runs ? '' : ' (no engine runs it)'}: ${figures.join(', ')}`;
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

function text(words: string, x: number, y: number, fontSize: number, fontWeight = 'normal'): object {
  return { text: words, left: x, top: y, padding: 0, textStyle: { fontSize, fontWeight, color: textColour } };
}

/** Rows that the legend takes, at the widest that a letter is. */
function legendRows(holders: readonly Holder[]): number {
  let rows = 1;
  let at = 0;
  for (const { name } of holders) {
    const wide = 32 + legendName(name).length * 7.2;
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
