// The drawing itself, by echarts on a canvas: points in their colours, the front as a staircase (between two deployments nothing
// better is to be had than the nearer one), a ring around the marked one. Names in its tip are text nodes.
import { LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, TooltipComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import type { PageColumn, PageData } from './data.ts';
import { cellText, columnName, figureText } from './figure.ts';

use([ScatterChart, LineChart, GridComponent, TooltipComponent, CanvasRenderer]);

export interface Group {
  name: string;
  colour: string;
  has: (row: number) => boolean;
}

export interface Shown {
  data: PageData;
  /** Rows with both figures. */
  rows: readonly number[];
  x: PageColumn;
  y: PageColumn;
  log: { x: boolean; y: boolean };
  front: readonly number[];
  marked: number | null;
  groups: readonly Group[];
  dark: boolean;
  printing: boolean;
}

export interface Drawing {
  show: (shown: Shown) => void;
  dispose: () => void;
}

type Point = [x: number, y: number, row: number];

const palette = [
  '#3b6fb6',
  '#d9822b',
  '#3d9a5f',
  '#b0508f',
  '#3aa6a6',
  '#c2543f',
  '#7a63c2',
  '#96963a',
  '#5ba3e0',
  '#9a6b3f',
  '#d977b0',
];
const otherColour = '#8a8f98';
/** Pixels that fit the width of a sheet laid across. */
const paperWidth = 950;
/** A tip names so many of the deployments that share a point. */
const mostNamed = 5;

/** Ten thousand points: the values that most rows have keep a colour each, the rest shares one. */
export function colourGroups(data: PageData, column: PageColumn | undefined): Group[] {
  if (!column) return [{ name: 'deployments', colour: palette[0]!, has: () => true }];
  const counts = new Map<string, number>();
  const texts = data.names.map((_, row) => cellText(column, row));
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  const ranked = [...counts].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const kept = ranked.slice(0, ranked.length > palette.length ? palette.length - 1 : palette.length);
  const named = kept.sort(byName);
  const groups = named.map((name, i): Group => ({ name, colour: palette[i]!, has: (row) => texts[row] === name }));
  if (ranked.length === named.length) return groups;
  const known = new Set(named);
  const rest = `${ranked.length - named.length} others`;
  return [...groups, { name: rest, colour: otherColour, has: (row) => !known.has(texts[row]!) }];
}

const byName = new Intl.Collator('en', { numeric: true }).compare;

export function draw(place: HTMLDivElement, mark: (row: number) => void): Drawing {
  const chart = init(place, null, { renderer: 'canvas' });
  chart.on('click', ({ data }) => mark((data as Point)[2]));
  const resized = new ResizeObserver(() => chart.resize());
  resized.observe(place);
  return {
    show: (shown) => {
      chart.resize({ width: shown.printing ? paperWidth : 'auto' });
      chart.setOption(optionOf(shown), { notMerge: true });
      place.dataset.points = String(shown.rows.length);
      // Where a row's point is, for whoever drives the page from outside.
      Object.assign(place, {
        pixelOf: (row: number) => chart.convertToPixel('grid', pointOf(shown, row).slice(0, 2) as [number, number]),
      });
    },
    dispose: () => {
      resized.disconnect();
      chart.dispose();
    },
  };
}

function optionOf(shown: Shown): EChartsCoreOption {
  const { data, rows, x, y, log, front, marked, groups, dark } = shown;
  const ink = dark ? '#e4e7eb' : '#1d2430';
  const points = (wanted: readonly number[]) => wanted.map((row) => pointOf(shown, row));
  const drawn = new Set(rows);
  const frontRows = front.filter((row) => drawn.has(row));
  return {
    animation: false,
    textStyle: { fontFamily: 'system-ui, sans-serif', color: ink },
    grid: { left: 12, right: 24, top: 34, bottom: 30, containLabel: true },
    tooltip: tipOf(shown),
    xAxis: axis(x, log.x, dark, { nameLocation: 'middle', nameGap: 30 }),
    yAxis: axis(y, log.y, dark, { nameLocation: 'end', nameTextStyle: { align: 'left', color: ink } }),
    series: [
      ...groups.flatMap(({ colour, has }) => {
        const own = rows.filter(has);
        return [true, false].map((fits) => ({
          type: 'scatter',
          symbol: 'circle',
          // All at once: in batches they would take a canvas each.
          progressive: 0,
          symbolSize: rows.length > 2000 ? 6 : 9,
          itemStyle: { color: fits ? colour : 'transparent', borderColor: colour, opacity: fits ? 0.8 : 0.45 },
          data: points(own.filter((row) => (data.states[row] === 'fits') === fits)),
        }));
      }),
      {
        type: 'line',
        step: x.better === 'less' ? 'end' : 'start',
        silent: true,
        showSymbol: false,
        z: 3,
        lineStyle: { color: ink, width: 1.5, opacity: 0.8 },
        data: points(frontRows).sort((a, b) => a[0] - b[0]),
      },
      // Above the other points, so that the pointer finds the front first.
      ring(points(frontRows), 12, ink, 1.5, false),
      ring(marked !== null && drawn.has(marked) ? points([marked]) : [], 20, dark ? '#ffd84d' : '#c28a00', 3, true),
    ],
  };
}

function ring(data: Point[], symbolSize: number, colour: string, borderWidth: number, silent: boolean): object {
  const itemStyle = { color: 'transparent', borderColor: colour, borderWidth };
  return { type: 'scatter', symbol: 'circle', silent, z: 4, symbolSize, itemStyle, data };
}

function axis(column: PageColumn, log: boolean, dark: boolean, more: object): object {
  const [ink, line] = dark ? ['#9aa4b0', '#2b323c'] : ['#5b6470', '#e3e6ea'];
  return {
    type: log ? 'log' : 'value',
    name: columnName(column),
    nameTextStyle: { color: dark ? '#e4e7eb' : '#1d2430' },
    axisLabel: { color: ink, hideOverlap: true, formatter: (value: number) => shortFigure(column, value) },
    axisLine: { lineStyle: { color: ink } },
    splitLine: { lineStyle: { color: line } },
    ...more,
  };
}

/** A tick has no more digits than it needs. */
function shortFigure(column: PageColumn, value: number): string {
  return figureText(column, value)
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '');
}

function pointOf({ x, y }: Shown, row: number): Point {
  return [(x.values[row] as number) / x.scale, (y.values[row] as number) / y.scale, row];
}

function tipOf(shown: Shown): object {
  const { data, rows, x, y, dark } = shown;
  return {
    trigger: 'item',
    confine: true,
    renderMode: 'html',
    backgroundColor: dark ? '#1e242c' : '#fff',
    borderColor: dark ? '#343c47' : '#d9dde2',
    textStyle: { color: dark ? '#e4e7eb' : '#1d2430' },
    formatter: ({ data: point }: { data: Point }) => {
      const same = rows.filter((row) => x.values[row] === x.values[point[2]] && y.values[row] === y.values[point[2]]);
      const lines = same
        .slice(0, mostNamed)
        .map((row) => `${data.names[row]}${data.states[row] === 'fits' ? '' : ' (does not fit)'}`);
      if (same.length > mostNamed) lines.push(`and ${same.length - mostNamed} more at this point`);
      const tip = document.createElement('div');
      tip.className = 'tip';
      for (const text of [
        ...lines,
        ...[x, y].map((column) => `${columnName(column)}: ${cellText(column, point[2])}`),
      ]) {
        const line = document.createElement('div');
        line.textContent = text;
        tip.append(line);
      }
      return tip;
    },
  };
}
