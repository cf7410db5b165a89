// `vram plan` without a GPU: which presets' GPUs the deployment fits on, smallest first.
import { planVllm } from '../engines/vllm/plan.ts';
import { vllmRegistry } from '../load/flags.ts';
import { gib, thousands, times } from '../numbers.ts';
import type { PlanRequest } from '../plan/request.ts';
import { csvField } from '../render/flat.ts';
import { grid } from '../render/grid.ts';
import { paintFor } from '../render/paint.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { Format } from './plan-render.ts';

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

export function gpuRows(base: Omit<PlanRequest, 'gpus'>, gpus: readonly GpuSpec[]): GpuRow[] {
  const usable = gpus.filter((gpu) => (gpu.vendor === 'nvidia' || gpu.vendor === 'amd') && gpu.sliceOf === undefined);
  return usable
    .map((gpu) => {
      const { plan } = planVllm({ ...base, gpus: [gpu] }, vllmRegistry());
      const fits = plan.verdict.fits && plan.workload?.fits !== false;
      const { bytes, tokens, maxConcurrency } = plan.kvCache;
      return {
        gpu: gpu.id,
        name: gpu.name,
        totalBytes: gpu.cudaTotalBytes,
        fits,
        kvBytes: bytes,
        tokens,
        maxConcurrency,
        reason: plan.verdict.reason,
      };
    })
    .sort((a, b) => a.totalBytes - b.totalBytes || a.gpu.localeCompare(b.gpu));
}

export function gpuTable(rows: readonly GpuRow[], format: Format, style: { colour: boolean; columns: number }): string {
  if (format === 'json')
    return `${JSON.stringify({ schemaVersion: 1, command: 'plan', result: { gpus: rows } }, null, 2)}\n`;
  if (format === 'csv') {
    const head = ['gpu', 'totalBytes', 'fits', 'kvBytes', 'tokens', 'maxConcurrency'];
    return `${[head, ...rows.map((row) => [row.gpu, row.totalBytes, String(row.fits), row.kvBytes, row.tokens, row.maxConcurrency])].map((row) => row.map(csvField).join(',')).join('\r\n')}\r\n`;
  }
  const fitting = rows.filter((row) => row.fits);
  const { reason } = rows.at(-1) ?? { reason: null };
  if (fitting.length === 0)
    return `no preset GPU holds it alone${reason ? `: ${reason}` : ''}; try --tp 2 or a quantized variant\n`;
  const shown = fitting.map((row) => [
    row.gpu,
    gib(row.totalBytes),
    gib(row.kvBytes),
    thousands(row.tokens),
    times(row.maxConcurrency),
  ]);
  const head = ['fits on', 'memory', 'KV cache', 'tokens', 'sequences'];
  const table = grid(head, ['left', 'right', 'right', 'right', 'right'], shown);
  return `${style.colour ? table.replace(/^.*$/m, (head) => paintFor(true).bold(head)) : table}\n\n${rows.length - fitting.length} smaller or older GPUs do not fit.\n`;
}
