// Differences of a comparison for a person: per row what moved against its baseline, per release step which rule moved it.
import { gib, thousands } from '../numbers.ts';
import { columns } from '../plan/compare/columns.ts';
import type { ColumnChange, RowDiff } from '../plan/compare/diff.ts';
import type { CompareOutput, ReleaseDiff } from '../plan/compare/output.ts';
import { cellText } from './compare-cells.ts';
import { grid } from './grid.ts';
import type { Paint } from './paint.ts';
import { visible, wrap } from './text.ts';

/** Changes worth a line: what the engine allocates, what it holds, whether it fits. */
const shownColumns = [
  'fits',
  'weights.loadedBytes',
  'memory.activationBytes',
  'memory.graphBytes',
  'kvCache.bytes',
  'kvCache.tokens',
  'workload.maxConcurrencyAtContext',
  'price.perMillionOutputTokens',
];
const mostRows = 20;
const mostRules = 12;

export function diffParts({ result }: CompareOutput, paint: Paint, width: number): string {
  const { diff } = result;
  if (!diff) return '';
  // Against the first combination, that one itself has nothing to tell; in a baseline file it has.
  const rows = diff.rows.filter(({ id }) => id !== diff.baseline);
  const shown = rows.slice(0, mostRows).map((row) => rowText(row, paint, width));
  const more = rows.length - shown.length;
  if (rows.length === 0) shown.push('  there is nothing else to compare with it');
  if (more > 0) shown.push(paint.dim(`${thousands(more)} more: --format json`));
  return [
    `${paint.bold('Against')} ${visible(diff.baseline)}\n${shown.join('\n')}`,
    ...diff.releases.map((release) => releaseText(release, paint, width)),
  ].join('\n\n');
}

function rowText({ id, against, changes, broken }: RowDiff, paint: Paint, width: number): string {
  const name = broken ? paint.bad(visible(id)) : visible(id);
  if (against === null) return `${name}\n  not in the baseline`;
  const told = shownColumns.flatMap((key) => {
    const change = changes.find(({ column }) => column === key);
    return change ? [changeText(change)] : [];
  });
  return `${name}\n  ${wrap(told.length > 0 ? told.join('; ') : 'the same', width - 2, 2)}`;
}

function changeText({ column: key, before, after, relative }: ColumnChange): string {
  const column = columns.find((one) => one.key === key)!;
  const share = relative === null ? '' : ` (${relative > 0 ? '+' : ''}${(relative * 100).toFixed(1)} %)`;
  return `${column.title} ${cellText(column, before)} -> ${cellText(column, after)}${share}`;
}

function releaseText(
  { id, from, to, weightsBytes, kvCacheBytes, tokens, rules }: ReleaseDiff,
  paint: Paint,
  width: number,
): string {
  const head = wrap(
    `${paint.bold(`vLLM ${from} -> ${to}`)}  ${visible(id)}: weights ${signedGib(weightsBytes)}, KV cache ${signedGib(kvCacheBytes)}, ${signed(tokens)} tokens`,
    width,
    2,
  );
  if (rules.length === 0) return `${head}\n  no rule moves it`;
  const rows = rules
    .slice(0, mostRules)
    .map((rule) => [rule.rule, signedGib(rule.weightsBytes), signedGib(rule.kvCacheBytes), signed(rule.tokens)]);
  const left = (key: 'weightsBytes' | 'kvCacheBytes' | 'tokens', total: number): number =>
    total - rules.reduce((sum, rule) => sum + rule[key], 0);
  const rest = [left('weightsBytes', weightsBytes), left('kvCacheBytes', kvCacheBytes), left('tokens', tokens)];
  // Roundings of tokens to blocks are no finding.
  if (Math.abs(rest[0]!) + Math.abs(rest[1]!) > (Math.abs(weightsBytes) + Math.abs(kvCacheBytes)) / 50)
    rows.push(['several together', signedGib(rest[0]!), signedGib(rest[1]!), signed(rest[2]!)]);
  const table = grid(['rule, its share', 'weights', 'KV cache', 'tokens'], ['left', 'right', 'right', 'right'], rows);
  const more = rules.length > mostRules ? `\n${paint.dim(`${rules.length - mostRules} more: --format json`)}` : '';
  return `${head}\n${table}${more}`;
}

function signed(value: number): string {
  return value === 0 ? '0' : `${value > 0 ? '+' : '-'}${thousands(Math.abs(value))}`;
}

function signedGib(bytes: number): string {
  return bytes === 0 ? '0' : `${bytes > 0 ? '+' : '-'}${gib(Math.abs(bytes))}`;
}
