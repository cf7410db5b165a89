// The leaves of one GPU's memory as a plan shows them. They sum to the GPU's total exactly; what is left over is `free`, and
// a negative `free` says by how much the parts exceed the GPU.
import { sum } from '../../../units.ts';
import type { Amount, MemoryBudget, MemoryItem } from './types.ts';

/** `kvBytes` is what the KV cache tensors take: blocks x bytes per block. */
export function memoryItems(budget: MemoryBudget, kvBytes: number): MemoryItem[] {
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
    { id: 'kv-cache', ...exactly(kvBytes, 'blocks x bytes per block', 'vllm/v1/core/kv_cache_utils.py') },
    { id: 'activations', ...budget.activations },
    { id: 'graphs', ...budget.graphs },
    { id: 'non-torch', ...budget.nonTorch },
    { id: 'context', ...budget.context },
    { id: 'communication', ...budget.communication },
    { id: 'lora', ...exactly(weights.loraBytes, 'adapter slots', 'vllm/lora') },
    { id: 'buffers', ...budget.buffers },
  ];
  const rest = (pick: (amount: Amount) => number): number => budget.totalBytes - sum(items.map(pick));
  return [
    ...items,
    {
      id: 'free',
      bytes: rest((item) => item.bytes),
      lowBytes: rest((item) => item.highBytes),
      highBytes: rest((item) => item.lowBytes),
      formula: 'total less everything above',
      source: 'arithmetic',
      confidence: 'estimated',
    },
  ];
}

function exactly(bytes: number, formula: string, source: string): Amount {
  return { bytes, lowBytes: bytes, highBytes: bytes, formula, source, confidence: 'exact' };
}
