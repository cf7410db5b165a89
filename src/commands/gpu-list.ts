// What lists of GPUs have in common, whichever engine plans them: which options mean nothing for a list, the rows, the forms. What asks
// for one plan in particular (a requirement, a command to run) is refused rather than left out.
import { inputError } from '../diagnostics.ts';
import type { Plan } from '../plan/types.ts';
import { type GpuListOutput, type GpuRow, gpuCsv, gpuMarkdown, gpuTable } from '../render/gpus.ts';
import type { TableStyle } from '../render/table.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import { dataText } from './output.ts';
import type { Format } from './plan-render.ts';

/** Options that speak of one plan or one GPU and have no meaning for a list. */
export function checkListOptions(asked: {
  require: readonly string[];
  matrix: boolean;
  autoParallel?: string | true;
  placement?: boolean;
  disaggregate?: string;
  explain: boolean;
  gpuMemory?: string | undefined;
  freeMemory?: string | undefined;
}): void {
  const given: Record<string, boolean> = {
    '--require': asked.require.length > 0,
    '--matrix': asked.matrix,
    '--auto-parallel': asked.autoParallel !== undefined,
    '--placement': asked.placement === true,
    '--disaggregate': asked.disaggregate !== undefined,
    '--explain': asked.explain,
    '--gpu-memory': asked.gpuMemory !== undefined,
    '--free-memory': asked.freeMemory !== undefined,
  };
  const option = Object.keys(given).find((name) => given[name]);
  if (option !== undefined) throw needsGpu(option, option);
}

export async function renderGpuList(output: GpuListOutput, format: Format, style: TableStyle): Promise<string> {
  switch (format) {
    case 'table':
      return gpuTable(output, style);
    case 'json':
    case 'yaml':
      return dataText(format, output);
    case 'markdown':
      return gpuMarkdown(output);
    case 'csv':
      return gpuCsv(output);
    default:
      throw needsGpu(`--format ${format}`, '--format');
  }
}

function needsGpu(what: string, path: string): Error {
  return inputError('VRAM169', `${what} needs a GPU: without one the answer is a list of those that fit`, {
    hint: 'add --gpu, e.g. --gpu l40s; the list itself comes as table, json, yaml, markdown or csv',
    path,
  });
}

/** The same list for an engine that plans by itself: `plan` plans one GPU, or throws where it cannot. */
export function gpuRowsBy(gpus: readonly GpuSpec[], plan: (gpu: GpuSpec) => Plan): GpuRow[] {
  const usable = gpus.filter((gpu) => (gpu.vendor === 'nvidia' || gpu.vendor === 'amd') && gpu.sliceOf === undefined);
  return usable
    .map((gpu) => {
      const { verdict, workload, kvCache } = plan(gpu);
      const fits = verdict.fits && workload?.fits !== false;
      const { bytes, tokens, maxConcurrency } = kvCache;
      return {
        gpu: gpu.id,
        name: gpu.name,
        totalBytes: gpu.cudaTotalBytes,
        fits,
        kvBytes: bytes,
        tokens,
        maxConcurrency,
        reason: verdict.reason,
      };
    })
    .sort((a, b) => a.totalBytes - b.totalBytes || a.gpu.localeCompare(b.gpu));
}
