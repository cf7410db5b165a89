// Plain tables and the matrix of contexts and concurrencies: columns aligned by spaces, no lines, nothing after the last word.
import Table from 'cli-table3';
import { thousands } from '../numbers.ts';
import type { PlanMatrix } from '../plan/types.ts';
import type { Paint } from './paint.ts';

/** Rows under their heads as text; `gap` spaces between the columns. */
export function grid(
  head: readonly string[],
  align: readonly ('left' | 'right')[],
  rows: readonly (readonly string[])[],
): string {
  const edges = ['top', 'bottom', 'left', 'right'] as const;
  const none = Object.fromEntries(
    ['mid', 'mid-mid', ...edges.flatMap((edge) => [edge, `${edge}-mid`, `${edge}-left`, `${edge}-right`])].map(
      (name) => [name, ''],
    ),
  );
  const table = new Table({
    head: [...head],
    colAligns: [...align],
    chars: { ...none, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) table.push([...row]);
  return table.toString().replace(/[ \t]+$/gm, '');
}

/** Contexts down, concurrencies across: what the KV cache holds without preempting anybody. */
export function matrixGrid({ contexts, concurrencies, fits, maxConcurrency }: PlanMatrix, paint: Paint): string {
  const rows = contexts.map((context, i) => [
    thousands(context),
    ...fits[i]!.map((holds) => (holds ? paint.good('yes') : paint.dim('-'))),
    thousands(maxConcurrency[i]!),
  ]);
  const head = ['context', ...concurrencies.map(String), 'at most'];
  const align = head.map(() => 'right' as const);
  return `${paint.bold('Sequences at once')}, by context\n${grid(head, align, rows)}`;
}
