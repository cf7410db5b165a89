// What a llama.cpp plan shows beside the budget: its buffers as it prints them, the cache by slots, how far the offload can go, and
// the estimated speed. It formats a Plan and computes nothing.
import { gib, mib, printedMiB, thousands } from '../numbers.ts';
import type { PlanOutput } from '../plan/output.ts';
import {
  type BufferKind,
  type Buffers,
  bufferKinds,
  type Plan,
  type ProjectorPlan,
  type SpeedFigure,
} from '../plan/types.ts';
import { grid } from './grid.ts';
import type { Paint } from './paint.ts';
import { visible, wrap } from './text.ts';

export const bufferNames: Readonly<Record<BufferKind, string>> = {
  model: 'model',
  kv: 'KV',
  rs: 'RS',
  compute: 'compute',
  output: 'output',
};

/** How llama.cpp calls a place: CUDA0, CUDA_Host, CPU_Mapped, CPU, CPU_REPACK. */
export function placeName(place: string, vendor: string): string {
  const backend = { nvidia: 'CUDA', amd: 'ROCm', apple: 'MTL', intel: 'SYCL' }[vendor] ?? 'GPU';
  if (place.startsWith('gpu')) return `${backend}${place.slice(3)}`;
  return { pinned: `${backend}_Host`, mapped: 'CPU_Mapped', repack: 'CPU_REPACK' }[place] ?? 'CPU';
}

/** Kinds that the plan has, and per place their MiB; a draft's and a projector's are rows of their own. */
export function bufferRows({ buffers = {}, draft, projector }: Plan): {
  kinds: BufferKind[];
  rows: { of: string; place: string; cells: string[] }[];
} {
  const beside: { of: string; buffers: Buffers }[] = [
    { of: '', buffers },
    ...(draft ? [{ of: 'draft ', buffers: draft.buffers }] : []),
    ...(projector ? [{ of: 'projector ', buffers: projectorBuffers(projector) }] : []),
  ];
  const kinds = bufferKinds.filter((kind) =>
    beside.some(({ buffers: own }) => Object.keys(own[kind] ?? {}).length > 0),
  );
  const rows = beside.flatMap(({ of, buffers: own }) => {
    const places = [...new Set(kinds.flatMap((kind) => Object.keys(own[kind] ?? {})))].sort(
      (a, b) => order(a) - order(b) || a.localeCompare(b, 'en', { numeric: true }),
    );
    return places.map((place) => ({ of, place, cells: kinds.map((kind) => own[kind]?.[place]?.toFixed(2) ?? '') }));
  });
  return { kinds, rows };
}

function projectorBuffers({ modelBytes, computeBytes, place }: ProjectorPlan): Buffers {
  return { model: { [place]: Number(printedMiB(modelBytes)) }, compute: { [place]: Number(printedMiB(computeBytes)) } };
}

function order(place: string): number {
  return ['gpu', 'pinned', 'mapped', 'cpu', 'repack'].findIndex((prefix) => place.startsWith(prefix));
}

export function bufferTable({ input, result }: PlanOutput, paint: Paint): string {
  const { kinds, rows } = bufferRows(result);
  if (rows.length === 0) return '';
  const lines = rows.map(({ of, place, cells }) => [`${of}${placeName(place, input.gpu.vendor)}`, ...cells]);
  const head = ['', ...kinds.map((kind) => bufferNames[kind])];
  const table = grid(head, ['left', ...kinds.map(() => 'right' as const)], lines);
  return `${paint.bold('Buffers')} in MiB, as llama.cpp prints them\n${table}`;
}

/** What lies beside the model, in words. */
export function besideLines({ draft, projector }: Plan, paint: Paint, width: number): string {
  const lines: string[] = [];
  if (draft) {
    const who = draft.model === null ? 'the blocks of the model that predict further tokens' : visible(draft.model);
    lines.push(
      `${paint.bold('Draft')}: ${who}${draft.contexts > 1 ? `, ${draft.contexts} contexts (one for each slot)` : ''}`,
    );
  }
  if (projector) {
    const where = projector.place === 'cpu' ? 'the CPU' : 'the first GPU';
    const { modelBytes, computeBytes, largestBytes } = projector;
    const most = largestBytes > computeBytes ? `, up to ${mib(largestBytes)} for the largest` : '';
    lines.push(
      `${paint.bold('Projector')} on ${where}: ${mib(modelBytes)} + ${mib(computeBytes)} for a picture${most}`,
    );
  }
  return lines.map((line) => wrap(line, width, 2)).join('\n');
}

export function slotsTable({ kvCache }: Plan, paint: Paint): string {
  if (kvCache.groups.length === 0) return '';
  const rows = kvCache.groups.map(({ kind, layers, count, blockSize, pageBytes }) => [
    kind,
    thousands(layers),
    kind === 'state' ? '' : `${count > 1 ? `${count} x ` : ''}${thousands(blockSize)}`,
    mib(pageBytes),
  ]);
  const head = ['', 'layers', 'cells', 'size'];
  const slots = `${thousands(kvCache.tokens)} tokens in all, ${thousands(kvCache.maxModelLen)} for one sequence`;
  return `${paint.bold('KV cache')}: ${slots}\n${grid(head, ['left', 'right', 'right', 'right'], rows)}`;
}

export function offloadLines(plan: Plan, paint: Paint, width: number): string {
  const { offload } = plan;
  if (!offload) return '';
  const { gpuLayers, layers, mostGpuLayers, largestContext, leastCpuMoeLayers } = offload;
  const lines = [
    `${gpuLayers} of ${layers} layers on the GPU; at this context ${mostGpuLayers === null ? 'none fits' : `at most ${mostGpuLayers} fit`}.`,
    largestContext === null
      ? 'At this offload not even the least context fits.'
      : `At this offload the context may be ${thousands(largestContext)} tokens.`,
  ];
  if (leastCpuMoeLayers !== undefined) {
    lines.push(
      leastCpuMoeLayers === null
        ? 'Even with all experts on the CPU it does not fit.'
        : leastCpuMoeLayers === 0
          ? 'No experts need to stay on the CPU.'
          : `With all layers on the GPU the experts of ${leastCpuMoeLayers} blocks have to stay on the CPU (--n-cpu-moe ${leastCpuMoeLayers}).`,
    );
  }
  return `${paint.bold('Offload')}\n${lines.map((line) => wrap(line, width)).join('\n')}`;
}

export function speedLines({ speed }: Plan, paint: Paint, width: number): string {
  if (!speed) return '';
  const { decode, prefill, sequences, context, promptTokens, assumptions } = speed;
  const who = sequences === 1 ? 'one sequence' : `${thousands(sequences)} sequences`;
  const lines = [
    `decode ${speedText(decode)}: ${who} with ${thousands(context)} tokens in the cache`,
    `prefill ${speedText(prefill)}: a prompt of ${thousands(promptTokens)} tokens`,
    ...assumptions.map((assumption) => `assumed: ${assumption}`),
  ];
  return `${paint.bold('Speed')} (estimate)\n${lines.map((line) => wrap(line, width, 2)).join('\n')}`;
}

const boundNames: Readonly<Record<SpeedFigure['bound'], string>> = {
  memory: 'GPU memory',
  compute: 'compute',
  network: 'messages between GPUs',
  PCIe: 'PCIe',
  host: 'host memory',
  overhead: 'kernel launches',
};

export function speedText({ tokensPerSecond, lowTokensPerSecond, highTokensPerSecond, bound }: SpeedFigure): string {
  const digits = (value: number): string => (value < 10 ? value.toFixed(1) : thousands(Math.round(value)));
  const range = `${digits(lowTokensPerSecond)} to ${digits(highTokensPerSecond)}`;
  return `${digits(tokensPerSecond)} tokens/s (${range}), bound by ${boundNames[bound]}`;
}

/** What Ollama decides, and the two files that ask for it. */
export function ollamaLines({ ollama }: Plan, paint: Paint, width: number): string {
  if (!ollama) return '';
  const { llamaCppBuild, numCtx, numParallel, numBatch, predictedBytes, availableBytes, predictedToFit } = ollama;
  const where = {
    cpu: 'the CPU',
    'only gpu': 'the GPU',
    'one of several': `GPU ${ollama.gpus.join(', ')} alone`,
    spread: `GPUs ${ollama.gpus.join(', ')} together`,
  };
  const lines = [
    `starts llama.cpp ${llamaCppBuild} on ${where[ollama.placement]}: num_ctx ${thousands(numCtx)} x ${numParallel}, num_batch ${numBatch}`,
    `expects ${gib(predictedBytes)} of ${gib(availableBytes)} available${predictedToFit ? '' : ': more than its threshold, so that -fit decides what goes to the GPU'}`,
  ];
  return `${paint.bold('Ollama')}\n${lines.map((line) => wrap(line, width, 2)).join('\n')}`;
}

/** Said of a fit: what was lowered. */
export function fitText({ fit }: Plan): string | undefined {
  if (!fit) return undefined;
  const changes = [
    ...(fit.nCtx > 0 && fit.nCtx !== fit.askedCtx ? [`context ${thousands(fit.nCtx)}`] : []),
    ...(fit.ngl === null ? [] : [`${fit.ngl} layers on the GPU`]),
    ...(fit.tensorSplit?.some((share) => share > 0) ? [`split ${fit.tensorSplit.join(' + ')}`] : []),
    ...(fit.overrides && fit.overrides.length > 0 ? [`${fit.overrides.length} tensor patterns elsewhere`] : []),
  ];
  if (fit.status !== 'success') return `-fit gives up (${fit.status}): the options stay as they are`;
  return changes.length > 0 ? `-fit chooses ${changes.join(', ')}` : '-fit changes nothing';
}
