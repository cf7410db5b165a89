// What a deployment says of itself, beside its plan: what it is for, what was corrected, and every claim of the original with the
// planned figure. For a terminal in 80 columns, and as Markdown.
import type { DeploymentReport, JudgedClaim } from '../plan/deployment/claims.ts';
import { escaped } from './markdown.ts';
import { type Paint, paintFor } from './paint.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

export function deploymentText(report: DeploymentReport, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const { id, name, intent, corrects, changes, claims, notes } = report;
  const parts = [
    `${paint.bold('Deployment')}  ${wrap(`${visible(id)}: ${visible(name)}`, width - 12, 12)}${intent ? `\n${wrap(visible(intent), width)}` : ''}`,
    corrects === null && changes.length === 0
      ? ''
      : `${paint.bold(corrects === null ? 'Changed' : `Corrected from ${visible(corrects)}`)}\n${items(changes, width)}`,
    claims.length > 0
      ? `${paint.bold('Claims of the original')}\n${claims.map((claim) => claimText(claim, paint, width)).join('\n')}`
      : '',
    notes.length > 0 ? `${paint.bold('Notes')}\n${items(notes, width)}` : '',
  ];
  return `\n${parts.filter(Boolean).join('\n\n')}\n`;
}

export function deploymentMarkdown({ id, name, intent, corrects, changes, claims }: DeploymentReport): string {
  const rows = claims.map(
    ({ what, claimed, planned, verdict, because }) =>
      `| ${[what, claimed, planned ?? '', verdict, because].map(escaped).join(' | ')} |`,
  );
  const parts = [
    `**Deployment ${escaped(id)}**: ${escaped(name)}. ${escaped(intent)}`,
    changes.length > 0
      ? `${corrects ? `Corrected from ${escaped(corrects)}` : 'Changed'}:\n\n${changes.map((text) => `- ${escaped(text)}`).join('\n')}`
      : '',
    rows.length > 0
      ? ['| claim | claimed | planned | verdict | because |', '|---|---|---|---|---|', ...rows].join('\n')
      : '',
  ];
  return `\n${parts.filter(Boolean).join('\n\n')}\n`;
}

function items(texts: readonly string[], width: number): string {
  return texts.map((text) => `- ${wrap(visible(text), width - 2, 2)}`).join('\n');
}

const labelWidth = 14;

function claimText({ what, claimed, planned, verdict, because }: JudgedClaim, paint: Paint, width: number): string {
  const colour = { right: paint.good, wrong: paint.bad, unverifiable: paint.warn }[verdict];
  const label = colour(verdict) + ' '.repeat(labelWidth - verdict.length);
  const beside = planned === null ? '' : `; planned: ${planned}`;
  const indent = ' '.repeat(labelWidth);
  return `${label}${wrap(visible(`${what}: ${claimed}${beside}`), width - labelWidth, labelWidth)}\n${indent}${paint.dim(wrap(visible(because), width - labelWidth, labelWidth))}`;
}
