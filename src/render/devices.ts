// What every form that people read says alike of a plan: names of the items, ranks with the same figures together, the verdict
// in a line, where it runs.
import { thousands, times } from '../numbers.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { DevicePlan, ItemId, Plan } from '../plan/types.ts';

export const itemNames: Readonly<Record<ItemId, string>> = {
  weights: 'weights',
  'kv-cache': 'KV cache',
  state: 'recurrent state',
  'compute-buffer': 'compute buffer',
  'output-buffer': 'output buffer',
  projector: 'projector',
  draft: 'draft model',
  other: 'other processes',
  lora: 'LoRA',
  activations: 'activations',
  graphs: 'CUDA graphs',
  'non-torch': 'non-torch',
  communication: 'communication',
  context: 'CUDA context',
  buffers: 'runner buffers',
  free: 'free',
};

/** Encoders attend to the whole input at once and keep nothing. */
const noCache = 'no KV cache: this model keeps none';

/** Ranks with the same figures, once. */
export function distinctDevices(devices: readonly DevicePlan[]): { device: DevicePlan; ranks: number[] }[] {
  const groups: { device: DevicePlan; ranks: number[]; key: string }[] = [];
  for (const device of devices) {
    const key = JSON.stringify({ ...device, rank: 0 });
    const same = groups.find((group) => group.key === key);
    if (same) same.ranks.push(device.rank);
    else groups.push({ device, ranks: [device.rank], key });
  }
  return groups;
}

/** The number of a GPU or of several alike, or the host. */
export function deviceName({ gpu }: DevicePlan, ranks: readonly number[]): string {
  return gpu === 'host' ? 'host' : rankText(ranks);
}

/** 0-3, or 0,2 where they are not neighbours. */
export function rankText(ranks: readonly number[]): string {
  if (ranks.length === 1) return String(ranks[0]);
  const contiguous = ranks.every((rank, i) => i === 0 || rank === ranks[i - 1]! + 1);
  return contiguous ? `${ranks[0]}-${ranks.at(-1)}` : ranks.join(',');
}

/** "vLLM 0.9 (as 0.9.2)": the release whose rules were read, where it is another. */
export function engineText({ engine }: PlanOutput['input']): string {
  return `${engine.name} ${engine.version}${engine.release === engine.version ? '' : ` (as ${engine.release})`}`;
}

/** "16 x H100 (tp 4, pp 4)". */
export function placeText({ gpu, parallel }: PlanOutput['input']): string {
  const layout = Object.entries(parallel).filter(([, size]) => size > 1);
  const split = layout.map(([name, size]) => `${name} ${size}`).join(', ');
  const count = gpu.count > 1 && !gpu.name.includes(' + ') ? `${gpu.count} x ` : '';
  return `${count}${gpu.name}${split ? ` (${split})` : ''}`;
}

export function capacityText({ kvCache }: Plan): string {
  if (kvCache.groups.length === 0) return noCache;
  return `${thousands(kvCache.tokens)} tokens of KV cache, ${times(kvCache.maxConcurrency)} sequences of ${thousands(kvCache.maxModelLen)}`;
}

/** The requirement with its answer and its two inverses. */
export function workloadText({ workload }: Plan): { asked: string; inverses: string } | undefined {
  if (!workload) return undefined;
  const { context, concurrency, maxConcurrencyAtContext, maxContextAtConcurrency } = workload;
  return {
    asked: `${thousands(concurrency)} x ${thousands(context)} tokens at once`,
    inverses: `At ${thousands(context)} tokens ${thousands(maxConcurrencyAtContext)} sequences fit; ${thousands(concurrency)} may be ${thousands(maxContextAtConcurrency)} tokens long.`,
  };
}
