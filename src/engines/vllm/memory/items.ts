// The leaves of one GPU's memory as a plan shows them. They sum to the GPU's total exactly; what is left over is `free`, and
// a negative `free` says by how much the parts exceed the GPU. The KV cache gets what the others leave of the budget, so it is
// no surer than they are: its range is theirs turned round, and only what the budget does not absorb moves `free`.
import { sum } from '../../../units.ts';
import type { Amount, MemoryBudget, MemoryItem } from './types.ts';

/** What the KV cache tensors take; `given`: its size was asked for, not taken from what profiling leaves. */
export interface KvAllocation {
  numBlocks: number;
  bytesPerBlock: number;
  given: boolean;
}

export function memoryItems(budget: MemoryBudget, kv: KvAllocation): MemoryItem[] {
  const { weights } = budget;
  const items: MemoryItem[] = [
    {
      id: 'weights',
      ...exactly(
        weights.loadedBytes - weights.loraBytes,
        'tensors in allocator blocks',
        'vllm/model_executor/model_loader',
      ),
      confidence: weights.confidence ?? 'exact',
    },
    { id: 'kv-cache', ...kvAmount(budget, kv) },
    { id: 'activations', ...budget.activations },
    { id: 'graphs', ...budget.graphs },
    { id: 'non-torch', ...budget.nonTorch },
    { id: 'context', ...budget.context },
    { id: 'communication', ...budget.communication },
    { id: 'lora', ...exactly(weights.loraBytes, 'adapter slots', 'vllm/lora') },
    { id: 'buffers', ...budget.buffers },
  ];
  return [...items, { id: 'free', ...freeAmount(budget, kv, items) }];
}

/** blocks x bytes per block; as far off as what is charged to the budget before it. vLLM v1/core/kv_cache_utils.py. */
function kvAmount(
  { availableBytes, availableLowBytes, availableHighBytes }: MemoryBudget,
  { numBlocks, bytesPerBlock, given }: KvAllocation,
): Amount {
  const bytes = numBlocks * bytesPerBlock;
  const source = 'vllm/v1/core/kv_cache_utils.py';
  const formula = `${numBlocks} blocks x ${bytesPerBlock} bytes`;
  if (given || bytes === 0) return exactly(bytes, formula, source);
  const fewer = Math.ceil((availableBytes - availableLowBytes) / bytesPerBlock);
  const more = Math.floor((availableHighBytes - availableBytes) / bytesPerBlock);
  return {
    bytes,
    lowBytes: Math.max(0, numBlocks - fewer) * bytesPerBlock,
    highBytes: (numBlocks + more) * bytesPerBlock,
    formula: `${formula}, from what the utilization leaves of the total beside weights, activations, non-torch and what else the release charges`,
    source,
    confidence: fewer > 0 || more > 0 ? 'estimated' : 'derived',
  };
}

/** A larger activation peak makes a smaller KV cache, not less free memory; the CUDA context and NCCL lie outside the budget. */
function freeAmount(budget: MemoryBudget, { given }: KvAllocation, items: readonly MemoryItem[]): Amount {
  const bytes = budget.totalBytes - sum(items.map((item) => item.bytes));
  const absorbs = !given && bytes >= 0;
  const outside = items.filter(
    ({ id }) =>
      id === 'context' ||
      id === 'communication' ||
      (id !== 'kv-cache' && !absorbs) ||
      (id === 'graphs' && budget.graphEstimateBytes === 0),
  );
  return {
    bytes,
    lowBytes: bytes - sum(outside.map((item) => item.highBytes - item.bytes)),
    highBytes: bytes + sum(outside.map((item) => item.bytes - item.lowBytes)),
    formula: 'total less everything above',
    source: 'arithmetic',
    confidence: 'estimated',
  };
}

function exactly(bytes: number, formula: string, source: string): Amount {
  return { bytes, lowBytes: bytes, highBytes: bytes, formula, source, confidence: 'exact' };
}
