// The items of a plan whose figures cannot be what the engine will see: a model planned as a family it may not belong to, or a
// layout that the engine refuses before it loads anything. Neither has a law; both say so instead of looking like a fact.
import type { BudgetItem } from '../../../plan/types.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';

/** A convention, not a measurement: sizes that a configuration states decide the rest, and a family adds norms, biases, gates. */
const assumedShare = 0.1;

/** Items as sure as what they rest on: an architecture that is the model's own, a device whose start-ups were measured. */
export function asSure(
  items: BudgetItem[],
  { vendor }: Pick<GpuSpec, 'vendor'>,
  assumedArchitecture: string | undefined,
): BudgetItem[] {
  const known = vendor === 'nvidia' || vendor === 'amd' ? items : foreignItems(items);
  return assumedArchitecture === undefined ? known : assumedItems(known);
}

/**
 * Every figure a tenth lower and higher, and marked. The KV cache takes what the weights, activations and graphs leave of a
 * fixed budget, so its range is theirs turned round; what lies outside the budget keeps its own.
 */
function assumedItems(items: readonly BudgetItem[]): BudgetItem[] {
  const widened = items.map((item) => (item.id === 'free' ? { ...item } : widenedItem(item)));
  const beside = widened.filter(({ id }) => id !== 'free' && id !== 'kv-cache');
  const spread = (of: (item: BudgetItem) => number): number => beside.reduce((total, item) => total + of(item), 0);
  return widened.map((item) => ({
    ...item,
    confidence: 'estimated',
    ...(item.id === 'kv-cache' && item.bytes > 0
      ? {
          lowBytes: Math.max(0, item.bytes - spread(({ highBytes, bytes }) => highBytes - bytes)),
          highBytes: item.bytes + spread(({ lowBytes, bytes }) => bytes - lowBytes),
        }
      : {}),
  }));
}

/** Devices that vLLM serves through plugins: what is loaded is the same, the rest of the budget has no law and no measurement. */
function foreignItems(items: readonly BudgetItem[]): BudgetItem[] {
  const isLoaded = ({ id }: BudgetItem): boolean => id === 'weights' || id === 'lora';
  return items.map((item) =>
    isLoaded(item)
      ? { ...item, confidence: item.confidence === 'exact' ? 'derived' : item.confidence }
      : {
          ...item,
          confidence: 'estimated',
          lowBytes: Math.min(item.lowBytes, Math.floor(item.bytes / 2)),
          highBytes: Math.max(item.highBytes, Math.ceil(item.bytes * 1.5)),
        },
  );
}

/** Nothing is loaded, so all of the GPU stays free. */
export function refusedItems(items: readonly BudgetItem[], totalBytes: number): BudgetItem[] {
  return items.map((item) => {
    const bytes = item.id === 'free' ? totalBytes : 0;
    return {
      ...item,
      bytes,
      lowBytes: bytes,
      highBytes: bytes,
      formula: 'nothing is loaded: the engine refuses to start',
    };
  });
}

function widenedItem(item: BudgetItem): BudgetItem {
  return {
    ...item,
    lowBytes: Math.min(item.lowBytes, Math.floor(item.bytes * (1 - assumedShare))),
    highBytes: Math.max(item.highBytes, Math.ceil(item.bytes * (1 + assumedShare))),
  };
}
