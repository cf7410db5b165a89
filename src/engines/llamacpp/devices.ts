// The memory of every GPU and of the host as budget items: buffers exact, the process's own context an estimate with its range, the
// rest free. Items of a GPU sum to what CUDA reports; the host's are simply all that lies there.
import type { BudgetItem, Confidence, DevicePlan, ItemId } from '../../plan/types.ts';
import { bytesAt, type LlamaLoad, projectorAt } from './load.ts';
import { contextOverhead } from './output.ts';
import type { LlamaRequest } from './request.ts';

export interface GpuTotals {
  totalBytes: number;
  /** In use by others when the engine starts. */
  otherBytes: number;
  contextBytes: number;
  /** What is left for buffers. */
  usableBytes: number;
}

/** Per GPU. Memory that is stated to be free is free after the process's context was made. */
export function totalsOf({ gpus, freeBytes, rules }: LlamaRequest): GpuTotals[] {
  return gpus.map((gpu, i) => {
    const given = freeBytes?.[i];
    const totalBytes = Math.max(gpu.cudaTotalBytes, given ?? 0);
    const contextBytes = Math.min(contextOverhead(rules).bytes, totalBytes - (given ?? 0));
    const usableBytes = given ?? totalBytes - contextBytes;
    return { totalBytes, contextBytes, otherBytes: totalBytes - contextBytes - usableBytes, usableBytes };
  });
}

const kindOf: Partial<Record<ItemId, keyof LlamaLoad['bytes']>> = {
  weights: 'model',
  'kv-cache': 'kv',
  state: 'rs',
  'compute-buffer': 'compute',
  'output-buffer': 'output',
};

export function devicePlans(request: LlamaRequest, load: LlamaLoad): DevicePlan[] {
  const gpus = totalsOf(request).map((totals, i) => gpuPlan(request, load, totals, i));
  return [...gpus, hostPlan(request, load)];
}

function gpuPlan(request: LlamaRequest, load: LlamaLoad, totals: GpuTotals, i: number): DevicePlan {
  const { totalBytes, contextBytes, otherBytes, usableBytes } = totals;
  const overhead = contextOverhead(request.rules);
  const items: BudgetItem[] = bufferItems(request, load, [`gpu${i}`]);
  items.push({
    ...exact(
      'context',
      contextBytes,
      'CUDA context, cuBLAS handles and the CUDA pool',
      'process minus printed buffers in published logs',
    ),
    lowBytes: Math.min(contextBytes, overhead.low),
    highBytes: Math.max(contextBytes, overhead.high),
    confidence: 'estimated',
  });
  if (otherBytes > 0) items.push(exact('other', otherBytes, 'total - free at the start', '--free-memory'));
  const used = items.reduce((sum, { bytes }) => sum + bytes, 0);
  items.push(exact('free', totalBytes - used, 'total - everything above', 'arithmetic'));
  return {
    rank: i,
    gpu: request.gpus[i]!.id,
    totalBytes,
    budgetBytes: usableBytes,
    weights: { tensorBytes: load.bytes.model[`gpu${i}`] ?? 0, loadedBytes: load.bytes.model[`gpu${i}`] ?? 0 },
    items,
  };
}

function hostPlan(request: LlamaRequest, load: LlamaLoad): DevicePlan {
  const places = ['pinned', 'cpu', 'mapped', 'repack'];
  const items = bufferItems(request, load, places);
  const totalBytes = places.reduce((sum, place) => sum + bytesAt(load, place), 0);
  const tensorBytes = items.find(({ id }) => id === 'weights')?.bytes ?? 0;
  return {
    rank: request.gpus.length,
    gpu: 'host',
    totalBytes,
    budgetBytes: totalBytes,
    weights: { tensorBytes, loadedBytes: tensorBytes },
    items,
  };
}

function bufferItems(request: LlamaRequest, load: LlamaLoad, places: readonly string[]): BudgetItem[] {
  const items: BudgetItem[] = [];
  for (const [id, kind] of Object.entries(kindOf) as [ItemId, keyof LlamaLoad['bytes']][]) {
    const bytes = places.reduce((sum, place) => sum + (load.bytes[kind][place] ?? 0), 0);
    const { formula, source } = laws[kind];
    const sure = confidenceOf(request, load, kind);
    items.push({ ...exact(id, bytes, formula, source), ...range(bytes, sure) });
  }
  return [...items, ...besideItems(request, load, places)];
}

/** The projector and the draft, each as one item. */
function besideItems(request: LlamaRequest, { draft, projector }: LlamaLoad, places: readonly string[]): BudgetItem[] {
  const items: BudgetItem[] = [];
  const seen = projector ? places.reduce((sum, place) => sum + projectorAt(projector, place), 0) : 0;
  if (projector && seen > 0) {
    const { computeBytes, computeLow, computeHigh, confidence, place } = projector;
    const here = places.includes(place);
    items.push({
      ...exact(
        'projector',
        seen,
        'its tensors + the graph of its warm-up; the range reaches to the largest picture',
        'tools/mtmd/clip.cpp',
      ),
      lowBytes: here ? seen - computeBytes + computeLow : seen,
      highBytes: here ? seen - computeBytes + computeHigh : seen,
      confidence: request.assumed ? 'estimated' : confidence,
    });
  }
  if (draft) {
    const bytes = places.reduce((sum, place) => sum + bytesAt(draft, place), 0);
    const formula = draft.ownBlocks
      ? 'caches, compute and output buffers of the context over its own drafting blocks'
      : `weights${draft.contexts > 1 ? ` + ${draft.contexts} contexts` : ', caches, compute and output buffers'} of the draft`;
    const confidence = request.assumed ? 'estimated' : draft.compute.confidence;
    items.push({ ...exact('draft', bytes, formula, 'common/speculative.cpp'), ...range(bytes, confidence) });
  }
  return items;
}

function confidenceOf(request: LlamaRequest, load: LlamaLoad, kind: keyof LlamaLoad['bytes']): Confidence {
  if (request.assumed) return 'estimated';
  return kind === 'compute' ? load.compute.confidence : 'exact';
}

/** Where an architecture's graph is not known, closed forms of its parts were seen to be off by up to a fifth. */
function range(bytes: number, confidence: Confidence): Pick<BudgetItem, 'lowBytes' | 'highBytes' | 'confidence'> {
  const spread = confidence === 'estimated' ? Math.round(bytes * 0.2) : 0;
  return { lowBytes: bytes - spread, highBytes: bytes + spread, confidence };
}

const laws: Readonly<Record<keyof LlamaLoad['bytes'], { formula: string; source: string }>> = {
  model: {
    formula: 'sum of the tensors placed here, in whole blocks of their types',
    source: 'src/llama-model.cpp load_tensors',
  },
  kv: {
    formula: 'per layer: (row of K + row of V) x cells x streams',
    source: 'src/llama-kv-cache.cpp',
  },
  rs: { formula: 'per layer: (R + S) x 4 bytes x sequences', source: 'src/llama-memory-recurrent.cpp' },
  compute: {
    formula: 'what the graph allocator makes of the worst-case graphs',
    source: 'src/llama-context.cpp sched_reserve, ggml/src/ggml-alloc.c',
  },
  output: { formula: 'vocabulary x sequences x 4 bytes', source: 'src/llama-context.cpp output_reserve' },
};

function exact(id: ItemId, bytes: number, formula: string, source: string): BudgetItem {
  return { id, bytes, lowBytes: bytes, highBytes: bytes, formula, source, confidence: 'exact' };
}
