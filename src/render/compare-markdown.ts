// A comparison for a pull request or a wiki: one table, every word from outside escaped.
import { thousands } from '../numbers.ts';
import { columns } from '../plan/compare/columns.ts';
import type { CompareOutput } from '../plan/compare/output.ts';
import { cellText, valueAt } from './compare-cells.ts';
import { diffParts } from './compare-diff.ts';
import { escaped } from './markdown.ts';
import { paintFor } from './paint.ts';

const usual = [
  'model',
  'gpu',
  'gpus',
  'engine',
  'quantization',
  'parallel.tp',
  'fits',
  'weights.loadedBytes',
  'kvCache.bytes',
  'kvCache.tokens',
  'workload.maxConcurrencyAtContext',
  'price.perHour',
  'price.perMillionOutputTokens',
  'speed.decodeTokensPerSecond',
  'quality.relativeLoss',
  'verdict.reason',
  'verdict.refusal',
];

export function compareMarkdown(output: CompareOutput, asked: readonly string[] | undefined): string {
  const { result } = output;
  const keys = asked ?? usual.filter((key) => result.rows.some((row) => valueAt(row, key) !== null));
  const shown = keys.map((key) => columns.find((column) => column.key === key)!);
  const head = shown.map(({ title, unit, estimate }) => `${title}${unit ? ` (${unit})` : ''}${estimate ? ' ~' : ''}`);
  const rule = shown.map(({ unit }) => (unit ? '--:' : '---'));
  const rows = result.rows.map((row) => shown.map((column) => escaped(cellText(column, valueAt(row, column.key)))));
  const { planned, fitting } = result.combinations;
  const counted = `${thousands(planned)} ${planned === 1 ? 'combination' : 'combinations'}, ${thousands(fitting)} fit; ~ estimates`;
  const diff = result.diff ? `\n\`\`\`\n${diffParts(output, paintFor(false), 80).replaceAll('`', "'")}\n\`\`\`\n` : '';
  return `${[head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n\n${counted}\n${diff}`;
}
