// The plan as one HTML file that works offline and runs no script: chart, budget, capacity, requirement, matrix, ways out,
// command. Every word from outside is escaped.
import { gib, percent, thousands, times } from '../numbers.ts';
import type { PlanOutput } from '../plan/output.ts';
import { type DevicePlan, nothingLoaded, type Plan } from '../plan/types.ts';
import { planSvg, titleOf } from './chart.ts';
import { capacityText, distinctDevices, itemNames, rankText, workloadText } from './devices.ts';
import { besideLines, bufferNames, bufferRows, fitText, offloadLines, placeName, speedLines } from './llama.ts';
import { paintFor } from './paint.ts';
import { escapeXml } from './text.ts';

const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem;color:#1d2430;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;margin:.8rem 0}
td,th{padding:.25rem .8rem;text-align:left;border-bottom:1px solid #e3e6ea;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.yes{background:#dff0e5}td.no{color:#9aa0a8}
.good{color:#1f7a43}.bad{color:#b3261e}pre{background:#f4f5f7;padding:.8rem;white-space:pre-wrap}svg{max-width:100%;height:auto}
.dim{color:#5b6470}li{margin:.3rem 0}`;

/** `layouts`: what --auto-parallel, --placement and the like say, as text. */
export async function planHtml(output: PlanOutput, layouts = ''): Promise<string> {
  const { input, result, diagnostics } = output;
  const title = escapeXml(titleOf(output));
  const parts = [
    `<h1>${title}</h1>`,
    verdict(result),
    await planSvg(output, { title: false }),
    '<p class="dim">Dashed: what the engine may use.</p>',
    ...distinctDevices(result.devices).map(({ device, ranks }) => deviceTable(device, ranks)),
    nothingLoaded(result) ? '' : result.buffers ? buffers(output) : capacity(result),
    requirement(result),
    result.buffers ? '' : paragraph(speedLines(result, paintFor(false), 1000)),
    matrix(result),
    section(
      'Try',
      items(
        result.suggestions.map(
          ({ change, effect }) => `${escapeXml(change)}<br><span class="dim">${escapeXml(effect)}</span>`,
        ),
      ),
    ),
    result.verdict.fits ? section('Run', `<pre>${escapeXml(result.command)}</pre>`) : '',
    section('Several GPUs', layouts ? `<pre>${layouts.trim().split('\n').map(escapeXml).join('\n')}</pre>` : ''),
    section(
      'Notes',
      items(diagnostics.map(({ severity, code, message }) => escapeXml(`${severity} ${code}: ${message}`))),
    ),
    `<p class="dim">vram ${escapeXml(output.tool.version)}, ${escapeXml(input.model.hfId ?? input.model.id)}</p>`,
  ];
  return htmlPage(title, parts);
}

/** A page that runs no script and loads nothing; `title` and `parts` are HTML already. */
export function htmlPage(title: string, parts: readonly string[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${style}</style></head><body>
${parts.filter(Boolean).join('\n')}
</body></html>
`;
}

function verdict(result: Plan): string {
  const { fits, reason, engineError } = result.verdict;
  const starts = fits && result.workload?.fits === false;
  const text = fits
    ? `${starts ? 'Starts' : 'Fits'}: ${capacityText(result)}${starts ? `, but ${reason ?? ''}` : ''}`
    : `Does not fit: ${reason ?? ''}`;
  const error = engineError ? `\n<pre>${escapeXml(engineError)}</pre>` : '';
  return `<p class="${fits && !starts ? 'good' : 'bad'}"><strong>${escapeXml(text)}</strong></p>${error}`;
}

function deviceTable(device: DevicePlan, ranks: readonly number[]): string {
  const rows = device.items
    .filter((item) => item.bytes > 0 || item.id === 'free')
    .map(({ id, bytes, confidence, formula }) => {
      const cells = [gib(bytes), percent(bytes / device.totalBytes)].map((text) => `<td class="n">${text}</td>`);
      return `<tr><td>${itemNames[id]}</td>${cells.join('')}<td>${confidence}</td><td>${escapeXml(formula)}</td></tr>`;
    });
  const heading =
    device.gpu === 'host'
      ? `Host: ${gib(device.totalBytes)}`
      : `GPU ${rankText(ranks)}${ranks.length > 1 ? ' (each)' : ''}: ${gib(device.totalBytes)}, of which the engine may use ${gib(device.budgetBytes)}`;
  const head =
    '<tr><th>item</th><th class="n">size</th><th class="n">share</th><th>confidence</th><th>formula</th></tr>';
  return section(heading, `<table>${head}${rows.join('')}</table>`);
}

/** llama.cpp: the buffers, how far the offload can go, the estimated speed. */
function buffers({ input, result }: PlanOutput): string {
  const { kinds, rows } = bufferRows(result);
  const head = ['', ...kinds.map((kind) => bufferNames[kind])].map((text) => `<th class="n">${text}</th>`).join('');
  const body = rows.map(({ of, place, cells }) => {
    const figures = cells.map((cell) => `<td class="n">${cell}</td>`).join('');
    return `<tr><th>${of}${placeName(place, input.gpu.vendor)}</th>${figures}</tr>`;
  });
  const paint = paintFor(false);
  const texts = [
    fitText(result) ?? '',
    besideLines(result, paint, 1000),
    offloadLines(result, paint, 1000),
    speedLines(result, paint, 1000),
  ];
  const lines = texts.map(paragraph);
  return section('Buffers in MiB', `<table><tr>${head}</tr>${body.join('')}</table>${lines.join('')}`);
}

function paragraph(text: string): string {
  return text === '' ? '' : `<p>${text.split('\n').map(escapeXml).join('<br>')}</p>`;
}

function capacity({ kvCache }: Plan): string {
  const rows = [
    ['size', gib(kvCache.bytes), `${thousands(kvCache.bytesPerToken)} bytes a token`],
    [
      'blocks',
      thousands(kvCache.numBlocks),
      `of ${kvCache.blockSize} tokens, ${thousands(kvCache.bytesPerBlock)} bytes`,
    ],
    ['tokens', thousands(kvCache.tokens), ''],
    ['sequences', times(kvCache.maxConcurrency), `of ${thousands(kvCache.maxModelLen)} tokens`],
  ].map(([name, value, note]) => `<tr><th>${name}</th><td class="n">${value}</td><td>${note}</td></tr>`);
  return section('KV cache', `<table>${rows.join('')}</table>`);
}

function requirement(result: Plan): string {
  const text = workloadText(result);
  if (!text) return '';
  const fits = result.workload?.fits === true;
  const answer = `<strong class="${fits ? 'good' : 'bad'}">${fits ? 'yes' : 'no'}</strong>`;
  return section('Requirement', `<p>${text.asked}: ${answer}<br>${text.inverses}</p>`);
}

function matrix({ matrix: shown }: Plan): string {
  if (!shown) return '';
  const { contexts, concurrencies, fits, maxConcurrency } = shown;
  const rows = contexts.map((context, i) => {
    const cells = fits[i]!.map((holds) => `<td class="n ${holds ? 'yes' : 'no'}">${holds ? 'yes' : '-'}</td>`);
    const most = `<td class="n">${thousands(maxConcurrency[i]!)}</td>`;
    return `<tr><th class="n">${thousands(context)}</th>${cells.join('')}${most}</tr>`;
  });
  const head = ['context', ...concurrencies.map(String), 'at most'].map((text) => `<th class="n">${text}</th>`);
  return section('Sequences at once, by context', `<table><tr>${head.join('')}</tr>${rows.join('')}</table>`);
}

export function items(entries: readonly string[]): string {
  return entries.length > 0 ? `<ul>${entries.map((entry) => `<li>${entry}</li>`).join('')}</ul>` : '';
}

export function section(heading: string, body: string): string {
  return body === '' ? '' : `<h2>${escapeXml(heading)}</h2>\n${body}`;
}
