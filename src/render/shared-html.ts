// Several simulated models as one HTML file that works offline and runs no script: which policy to take, who held what over time,
// every policy and every model in tables. Every word from outside is escaped.
import type { SharedOutput } from '../plan/shared-output.ts';
import { variantName } from '../plan/sharing/variant.ts';
import { htmlPage, items, section } from './html.ts';
import { sharedSvg } from './shared-chart.ts';
import { meaningOf, shownColumns } from './shared-columns.ts';
import { modelSections, runSections, type Section } from './shared-sections.ts';
import { demandLine, estimateLines, modelLine, nameText, poolLine, refusedLines, sharedTitle } from './shared-text.ts';
import { escapeXml } from './text.ts';

export async function sharedHtml(output: SharedOutput): Promise<string> {
  const { input, result, diagnostics } = output;
  const { advice, policies, models } = result;
  const title = escapeXml(sharedTitle(output));
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
          ...runSections(output).map(tableSection),
          section('Policies', items(summaries(policies.map(({ policy, summary }) => ({ id: policy, summary }))))),
          section('Loading', items(summaries(input.pool.loadings))),
        ]
      : []),
    ...modelSections(output).map(tableSection),
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

function tableSection<Row>(of: Section<Row>): string {
  return section(of.title, table(of) + dim(meaningOf(of)) + dim(of.note));
}

function table<Row>({ columns, rows }: Section<Row>): string {
  const shown = shownColumns(columns, rows);
  const head = shown
    .map(({ name }) => `<th class="n" style="${cell};white-space:normal;vertical-align:bottom">${escapeXml(name)}</th>`)
    .join('');
  const body = rows.map(({ name, row, chosen }) => {
    const cells = shown.map(({ text }) => `<td class="n" style="${cell}">${escapeXml(text(row))}</td>`).join('');
    const label = escapeXml(nameText(name));
    return `<tr><td style="white-space:nowrap">${chosen ? `<strong>${label}</strong>` : label}</td>${cells}</tr>`;
  });
  return `<div style="overflow-x:auto"><table><tr><th></th>${head}</tr>${body.join('')}</table></div>`;
}
