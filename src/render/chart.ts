// The budget of each kind of GPU as a stacked bar in SVG, drawn by echarts on the server. A dashed line marks what the engine
// may use, and where a plan does not fit a solid one the end of the memory.
import { gib } from '../numbers.ts';
import type { PlanOutput } from '../plan/output.ts';
import { type DevicePlan, type ItemId, itemIds } from '../plan/types.ts';
import { GiB } from '../units.ts';
import { distinctDevices, itemNames, placeText, rankText } from './devices.ts';
import { visible } from './text.ts';

const colours: Readonly<Record<ItemId, string>> = {
  weights: '#3b6fb6',
  'kv-cache': '#3d9a5f',
  state: '#3aa6a6',
  'compute-buffer': '#d9a13b',
  'output-buffer': '#9a5fb0',
  projector: '#5f7fa8',
  draft: '#c2543f',
  other: '#5b6470',
  lora: '#3aa6a6',
  activations: '#d9a13b',
  graphs: '#9a5fb0',
  'non-torch': '#c2543f',
  communication: '#a8324a',
  context: '#8a8f98',
  buffers: '#5f7fa8',
  free: '#dfe3e8',
};

const width = 860;

export async function planSvg(output: PlanOutput, { title = true } = {}): Promise<string> {
  const echarts = await import('echarts');
  const groups = distinctDevices(output.result.devices);
  const top = title ? 70 : 44;
  const height = top + 46 + groups.length * 44;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  const present = itemIds.filter((id) => groups.some(({ device }) => bytesOf(device, id) > 0));
  const most = Math.max(...groups.map(({ device }) => Math.max(device.totalBytes, usedBytes(device))));
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: 'system-ui, sans-serif' },
    ...(title ? { title: { text: titleOf(output), left: 12, top: 8, textStyle: { fontSize: 15 } } } : {}),
    legend: { top: top - 34, left: 8, itemWidth: 12, itemHeight: 12, itemGap: 16, data: present.map(legendName) },
    grid: { left: 76, right: 36, top, bottom: 34 },
    xAxis: {
      type: 'value',
      max: most / GiB,
      axisLabel: { formatter: '{value} GiB', showMaxLabel: false },
    },
    yAxis: {
      type: 'category',
      inverse: true,
      data: groups.map(({ device, ranks }) => (device.gpu === 'host' ? 'Host' : `GPU ${rankText(ranks)}`)),
    },
    series: present.map((id, i) => ({
      name: legendName(id),
      type: 'bar',
      stack: 'memory',
      barWidth: 26,
      itemStyle: { color: colours[id] },
      data: groups.map(({ device }) => Math.max(0, bytesOf(device, id)) / GiB),
      ...(i === 0 ? { markLine: limits(groups[0]!.device, most) } : {}),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

/** echarts measures text without its font: room for what it takes as too narrow. */
function legendName(id: ItemId): string {
  return `${itemNames[id]} `;
}

function limits({ totalBytes, budgetBytes }: DevicePlan, most: number): object {
  const over = most > totalBytes;
  return {
    symbol: 'none',
    silent: true,
    label: { show: false },
    data: [
      { xAxis: budgetBytes / GiB, lineStyle: { color: '#1d2430', type: 'dashed', width: 1 } },
      ...(over ? [{ xAxis: totalBytes / GiB, lineStyle: { color: '#b3261e', type: 'solid', width: 2 } }] : []),
    ],
  };
}

function bytesOf(device: DevicePlan, id: ItemId): number {
  return device.items.find((item) => item.id === id)?.bytes ?? 0;
}

function usedBytes(device: DevicePlan): number {
  return device.items.reduce((sum, { id, bytes }) => (id === 'free' ? sum : sum + bytes), 0);
}

export function titleOf({ input, result }: PlanOutput): string {
  const [device] = result.devices;
  const size = device ? `, ${gib(device.totalBytes)} each` : '';
  const where = input.gpu.count > 1 ? `${placeText(input)}${size}` : placeText(input);
  return visible(`${input.model.name} on ${where}, ${input.engine.name} ${input.engine.version}`);
}
