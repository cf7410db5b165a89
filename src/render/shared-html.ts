// Several simulated models as one HTML file that works offline and runs no script: which policy to take, who held what over time,
// every policy and every model in tables. Every word from outside is escaped.
import type { SharedOutput } from '../plan/shared-output.ts';
import { variantName } from '../plan/sharing/variant.ts';
import { htmlPage, items, section } from './html.ts';
import { sharedSvg } from './shared-chart.ts';
import {
  anyLoads,
  anySwitches,
  type Column,
  loadColumns,
  meaningOf,
  memoryColumns,
  modelColumns,
  requestColumns,
  shownColumns,
  switchColumns,
} from './shared-columns.ts';
import {
  chosenName,
  demandLine,
  estimateLines,
  modelLine,
  namedRuns,
  nameText,
  notRunLine,
  poolLine,
  refusedLines,
  sharedTitle,
} from './shared-text.ts';
import { escapeXml } from './text.ts';

export async function sharedHtml(output: SharedOutput): Promise<string> {
  const { input, result, diagnostics } = output;
  const { advice, policies, models } = result;
  const title = escapeXml(sharedTitle(output));
  const shares = namedRuns(output).map(({ chosen, ...named }) => ({ ...named, strong: chosen }));
  const named = models.map((row) => ({ name: row.id, row, strong: false }));
  return htmlPage(title, [
    `<h1>${title}</h1>`,
    `<p>${[poolLine(output), demandLine(output)].filter(Boolean).map(escapeXml).join('<br>')}</p>`,
    items(
      input.models.map((model) => `<strong>${escapeXml(nameText(model.id))}</strong>: ${escapeXml(modelLine(model))}`),
    ),
    advice
      ? `<p><strong class="good">Take ${escapeXml(variantName(advice, input.pool))}</strong>: ${escapeXml(advice.because)}</p>`
      : '',
    policies.length > 0 ? await sharedSvg(output) : '',
    ...(policies.length > 0
      ? [
          section('Memory', table(memoryColumns, shares) + dim(meaningOf(memoryColumns, policies))),
          section(
            'Requests',
            table(requestColumns, shares) + dim(meaningOf(requestColumns, policies)) + dim(notRunLine(policies)),
          ),
          ...(anySwitches(policies)
            ? [section('Weights on demand', table(switchColumns, shares) + dim(meaningOf(switchColumns, policies)))]
            : []),
          section('Policies', items(summaries(policies.map(({ policy, summary }) => ({ id: policy, summary }))))),
          section('Loading', items(summaries(input.pool.loadings))),
        ]
      : []),
    models.length > 0
      ? section(`Models under ${chosenName(output)}`, table(modelColumns, named) + dim(meaningOf(modelColumns, models)))
      : '',
    anyLoads(models)
      ? section('Weights of each model', table(loadColumns, named) + dim(meaningOf(loadColumns, models)))
      : '',
    section(
      'Rejected',
      items(
        models.flatMap(({ id, requests }) =>
          requests.rejections.map(({ reason, count, first }) =>
            escapeXml(`${nameText(id)}: ${count}, ${reason} (first ${nameText(first)})`),
          ),
        ),
      ),
    ),
    section('Not run', items(refusedLines(output).map(escapeXml))),
    ...estimateLines(models).map((text) => dim(`Times: ${text}`)),
    section(
      'Notes',
      items(diagnostics.map(({ severity, code, message }) => escapeXml(`${severity} ${code}: ${message}`))),
    ),
    `<p class="dim">vram ${escapeXml(output.tool.version)}, seed ${input.seed}</p>`,
  ]);
}

/** The chart alone, as a page. */
export async function sharedTimelineHtml(output: SharedOutput): Promise<string> {
  const title = escapeXml(sharedTitle(output));
  return htmlPage(title, [`<h1>${title}</h1>`, await sharedSvg(output)]);
}

/** Each once. */
function summaries(all: readonly { id: string; summary: string }[]): string[] {
  return [...new Set(all.map(({ id, summary }) => escapeXml(`${id}: ${summary}`)))];
}

function dim(text: string): string {
  return text === '' ? '' : `<p class="dim">${escapeXml(text)}</p>`;
}

/** Closer than elsewhere, so that all columns are seen at once. */
const cell = 'padding:.25rem .45rem';

function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly { name: string; row: Row; strong: boolean }[],
): string {
  const shown = shownColumns(
    columns,
    rows.map(({ row }) => row),
  );
  const head = shown
    .map(({ name }) => `<th class="n" style="${cell};white-space:normal;vertical-align:bottom">${escapeXml(name)}</th>`)
    .join('');
  const body = rows.map(({ name, row, strong }) => {
    const cells = shown.map(({ text }) => `<td class="n" style="${cell}">${escapeXml(text(row))}</td>`).join('');
    const label = escapeXml(nameText(name));
    return `<tr><td style="white-space:nowrap">${strong ? `<strong>${label}</strong>` : label}</td>${cells}</tr>`;
  });
  return `<div style="overflow-x:auto"><table><tr><th></th>${head}</tr>${body.join('')}</table></div>`;
}
