// The forms of the list of GPUs that a deployment fits on. The figures are those of the plans; nothing is computed here.
import { gib, thousands, times } from '../numbers.ts';
import type { Envelope, PlanInputEcho } from '../plan/output.ts';
import { csvField } from './flat.ts';
import { grid } from './grid.ts';
import { paintFor } from './paint.ts';
import type { TableStyle } from './table.ts';
import { wrap } from './text.ts';

export interface GpuRow {
  gpu: string;
  name: string;
  totalBytes: number;
  fits: boolean;
  kvBytes: number;
  tokens: number;
  maxConcurrency: number;
  reason: string | null;
}

/** The envelope of a plan, with the GPUs tried in place of one. */
export type GpuListOutput = Envelope<
  'plan',
  {
    model: { id: string; name: string; hfId: string | null; architecture: string; scheme: string | null };
    gpu: null;
    engine: { id: string; name: string; version: string; release: string };
    parallel: PlanInputEcho['parallel'];
  },
  { gpus: GpuRow[] }
>;

const head = ['fits on', 'memory', 'KV cache', 'tokens', 'sequences'];

export function gpuTable({ result }: GpuListOutput, { colour, columns }: TableStyle): string {
  const rows = fittingCells(result.gpus);
  if (rows.length === 0) return `${wrap(noneFits(result.gpus), Math.min(columns, 80))}\n`;
  const table = grid(head, ['left', 'right', 'right', 'right', 'right'], rows);
  const painted = colour ? table.replace(/^.*$/m, (line) => paintFor(true).bold(line)) : table;
  return `${painted}\n\n${othersText(result.gpus)}\n`;
}

export function gpuMarkdown({ result }: GpuListOutput): string {
  const rows = fittingCells(result.gpus);
  if (rows.length === 0) return `${noneFits(result.gpus)}\n`;
  const lines = [head, ['---', '--:', '--:', '--:', '--:'], ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return `${lines.join('\n')}\n\n${othersText(result.gpus)}\n`;
}

export function gpuCsv({ result }: GpuListOutput): string {
  const columns = ['gpu', 'totalBytes', 'fits', 'kvBytes', 'tokens', 'maxConcurrency'] as const;
  const rows = result.gpus.map((row) =>
    columns.map((column) => csvField(typeof row[column] === 'boolean' ? String(row[column]) : row[column])),
  );
  return `${[columns, ...rows].map((cells) => cells.join(',')).join('\r\n')}\r\n`;
}

function fittingCells(rows: readonly GpuRow[]): string[][] {
  return rows
    .filter((row) => row.fits)
    .map((row) => [row.gpu, gib(row.totalBytes), gib(row.kvBytes), thousands(row.tokens), times(row.maxConcurrency)]);
}

function noneFits(rows: readonly GpuRow[]): string {
  const reason = rows.at(-1)?.reason;
  return `no preset GPU holds it alone${reason ? `: ${reason}` : ''}; try --tp 2 or a quantized variant`;
}

function othersText(rows: readonly GpuRow[]): string {
  return `${rows.filter((row) => !row.fits).length} smaller or older GPUs do not fit.`;
}
