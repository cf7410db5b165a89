// The budget of each GPU as a stacked bar in SVG, and the HTML report around it. echarts draws on the server; the HTML is one
// file that works offline and runs no script.

import { gib, percent, thousands, times } from '../numbers.ts';
import type { PlanOutput } from '../plan/output.ts';
import { type ItemId, itemIds } from '../plan/types.ts';
import { escapeXml } from './text.ts';

const colours: Readonly<Record<ItemId, string>> = {
  weights: '#3b6fb6',
  'kv-cache': '#3d9a5f',
  lora: '#3aa6a6',
  activations: '#d9a13b',
  graphs: '#9a5fb0',
  'non-torch': '#c2543f',
  communication: '#a8324a',
  context: '#8a8f98',
  buffers: '#5f7fa8',
  free: '#dfe3e8',
};

export async function planSvg(output: PlanOutput): Promise<string> {
  const echarts = await import('echarts');
  const { devices } = output.result;
  const height = 110 + devices.length * 44;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 860, height });
  const present = itemIds.filter((id) =>
    devices.some((device) => device.items.some((item) => item.id === id && item.bytes > 0)),
  );
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: 'system-ui, sans-serif' },
    title: { text: titleOf(output), left: 12, top: 8, textStyle: { fontSize: 15 } },
    legend: { top: 36, left: 12, itemWidth: 14, data: present },
    grid: { left: 70, right: 30, top: 70, bottom: 34 },
    xAxis: {
      type: 'value',
      max: Math.max(...devices.map((device) => device.totalBytes)) / 2 ** 30,
      axisLabel: { formatter: '{value} GiB', showMaxLabel: false },
    },
    yAxis: { type: 'category', inverse: true, data: devices.map((device) => `GPU ${device.rank}`) },
    series: present.map((id) => ({
      name: id,
      type: 'bar',
      stack: 'memory',
      barWidth: 26,
      itemStyle: { color: colours[id] },
      data: devices.map((device) => (device.items.find((item) => item.id === id)?.bytes ?? 0) / 2 ** 30),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

export async function planHtml(output: PlanOutput): Promise<string> {
  const { result, diagnostics } = output;
  const { verdict, kvCache } = result;
  const svg = await planSvg(output);
  const verdictText = verdict.fits
    ? `Fits: ${thousands(kvCache.tokens)} tokens, ${times(kvCache.maxConcurrency)} sequences of ${thousands(kvCache.maxModelLen)}`
    : `Does not fit: ${verdict.reason ?? ''}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeXml(titleOf(output))}</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem;color:#1d2430}table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.25rem .8rem;text-align:left;border-bottom:1px solid #e3e6ea;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}
.good{color:#1f7a43}.bad{color:#b3261e}code,pre{background:#f4f5f7;padding:.1rem .3rem}pre{padding:.8rem;overflow:auto}svg{max-width:100%;height:auto}</style></head><body>
<h1>${escapeXml(titleOf(output))}</h1>
<p class="${verdict.fits ? 'good' : 'bad'}"><strong>${escapeXml(verdictText)}</strong></p>
${verdict.engineError ? `<pre>${escapeXml(verdict.engineError)}</pre>` : ''}
${svg}
${result.devices.map((device) => deviceTable(device)).join('\n')}
<h2>KV cache</h2>
<table><tr><th>size</th><td class="n">${gib(kvCache.bytes)}</td></tr><tr><th>blocks</th><td class="n">${thousands(kvCache.numBlocks)} of ${kvCache.blockSize} tokens</td></tr>
<tr><th>tokens</th><td class="n">${thousands(kvCache.tokens)}</td></tr><tr><th>sequences</th><td class="n">${times(kvCache.maxConcurrency)} of ${thousands(kvCache.maxModelLen)}</td></tr></table>
<h2>Command</h2><pre>${escapeXml(result.command)}</pre>
${diagnostics.length > 0 ? `<h2>Notes</h2><ul>${diagnostics.map((d) => `<li>${escapeXml(`${d.severity} ${d.code}: ${d.message}`)}</li>`).join('')}</ul>` : ''}
</body></html>
`;
}

function deviceTable(device: PlanOutput['result']['devices'][number]): string {
  const rows = device.items
    .filter((item) => item.bytes > 0)
    .map(
      (item) =>
        `<tr><td>${item.id}</td><td class="n">${gib(item.bytes)}</td><td class="n">${percent(item.bytes / device.totalBytes)}</td><td>${item.confidence}</td><td>${escapeXml(item.formula)}</td></tr>`,
    );
  return `<h2>GPU ${device.rank}: ${gib(device.totalBytes)}, budget ${gib(device.budgetBytes)}</h2><table><tr><th>item</th><th>size</th><th>share</th><th>confidence</th><th>formula</th></tr>${rows.join('')}</table>`;
}

function titleOf({ input }: PlanOutput): string {
  const count = input.gpu.count > 1 ? `${input.gpu.count} x ` : '';
  return `${input.model.name} on ${count}${input.gpu.name}, ${input.engine.name} ${input.engine.version}`;
}
