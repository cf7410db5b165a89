// The layouts of --auto-parallel for a person: the best of those that fit, which is best by what, and the others summed up by reason.
import { thousands } from '../numbers.ts';
import type { LayoutGoal, LayoutRow, LayoutsPlan, RejectedLayout } from '../plan/parallel/types.ts';
import { KiB } from '../units.ts';
import { grid } from './grid.ts';
import { paintFor } from './paint.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

const shownRows = 12;
const shownReasons = 6;

const goalWords: Readonly<Record<LayoutGoal, string>> = {
  capacity: 'capacity',
  latency: 'latency (estimate)',
  communication: 'communication',
};

export function layoutsText(layouts: LayoutsPlan, style: TableStyle): string {
  const { ranked, rejected, gpus, goal } = layouts;
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const count = `${ranked.length} of ${ranked.length + rejected.length} fit`;
  const title = `${paint.bold('Layouts')} on up to ${gpus} GPUs by ${goalWords[goal]}: ${count}`;
  const parts = [
    ranked.length > 0 ? `${title}\n${rowsTable(layouts)}` : `${title}; the plan above is for what was asked`,
    ranked.length > 0 ? paint.dim(wrap(legend(layouts), width)) : '',
    ranked.length > 0 ? bestLines(layouts, width) : '',
    rejectedLines(rejected, width),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function rowsTable({ ranked, context, chosen }: LayoutsPlan): string {
  const head = ['layout', 'GPUs', 'KV tokens', `x ${thousands(context)}`, 'TTFT', 'TPOT', 'tok/s', 'sent/token'];
  const align = ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'right'] as const;
  const rows = ranked
    .slice(0, shownRows)
    .map((row) => [
      row.layout + (row.layout === chosen ? ' <' : ''),
      String(row.gpus),
      thousands(row.kvTokens),
      thousands(row.sequences),
      seconds(row.ttftSeconds),
      seconds(row.tpotSeconds),
      row.decodeTokensPerSecond === null ? '?' : thousands(row.decodeTokensPerSecond),
      traffic(row),
    ]);
  return grid(head, align, rows);
}

function legend({ ranked, shape }: LayoutsPlan): string {
  const { concurrency, promptTokens, outputTokens } = shape;
  const more = ranked.length > shownRows ? `${ranked.length - shownRows} more in --json. ` : '';
  const asked = `${thousands(promptTokens)} prompt and ${thousands(outputTokens)} output tokens, ${thousands(concurrency)} at once`;
  return `${more}<: planned above. KV tokens, sequences: of all replicas. TTFT, TPOT: one sequence alone; tok/s: decoding; estimates for ${asked}. sent/token: bytes that a rank sends for a token, counted as ring collectives.`;
}

function bestLines({ byCapacity, byLatency, byCommunication }: LayoutsPlan, width: number): string {
  const best = [
    ['capacity', byCapacity],
    ['latency', byLatency],
    ['communication', byCommunication],
  ] as const;
  const words = best.filter(([, names]) => names.length > 0).map(([goal, names]) => `${goal} ${names[0]}`);
  return wrap(`Best by ${words.join(', by ')}. Another goal: --auto-parallel=latency | communication`, width);
}

/** Reasons that differ in their numbers alone are told once. */
function rejectedLines(rejected: readonly RejectedLayout[], width: number): string {
  const reasons = new Map<string, RejectedLayout[]>();
  for (const layout of rejected) {
    const key = layout.reason.replace(/[\d.,]+/g, '#');
    reasons.set(key, [...(reasons.get(key) ?? []), layout]);
  }
  if (reasons.size === 0) return '';
  const sorted = [...reasons.values()].sort((a, b) => b.length - a.length);
  const lines = sorted.slice(0, shownReasons).map((all) => {
    const [least] = [...all].sort((a, b) => (a.shortfallBytes ?? 0) - (b.shortfallBytes ?? 0));
    const names = [least!, ...all.filter((layout) => layout !== least)].slice(0, 4).map(({ layout }) => layout);
    const more = all.length > names.length ? ` and ${all.length - names.length} more` : '';
    return `- ${wrap(`${names.join(', ')}${more}: ${visible(least!.reason)}`, width - 2, 2)}`;
  });
  const rest = sorted.length - lines.length;
  if (rest > 0) lines.push(`- ${rest} other reason${rest > 1 ? 's' : ''} in --json`);
  return `Not possible\n${lines.join('\n')}`;
}

function seconds(value: number | null): string {
  if (value === null) return '?';
  return value < 1 ? `${(value * 1000).toPrecision(3)} ms` : `${value.toPrecision(3)} s`;
}

function traffic({ communication: { bytesPerToken } }: LayoutRow): string {
  if (bytesPerToken === 0) return '-';
  const kib = bytesPerToken / KiB;
  return kib < 1024 ? `${kib.toPrecision(3)} KiB` : `${(kib / 1024).toPrecision(3)} MiB`;
}
