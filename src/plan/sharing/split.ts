// The static split: which gpu_memory_utilization each engine gets so that all together stay within the total. Equal parts, by bytes of
// weights, or by mean load: what each engine cannot do without, and of the rest as much as its requests hold on average.
import type { StaticSharing } from '../../spec/sharing.ts';
import { sum } from '../../units.ts';
import { estimateSpeed } from '../speed/index.ts';
import { type Needs, needsOn } from './needs.ts';
import type { PoolInput } from './types.ts';

/** Utilization of each model by its id. A model on several GPUs gets the least of its parts: it has one flag. */
export function utilizations(
  { gpus, utilization, atOnce = Number.POSITIVE_INFINITY }: PoolInput,
  needs: readonly Needs[],
  split: StaticSharing['split'],
): Map<string, number> {
  const found = new Map<string, number>();
  gpus.forEach((gpu, index) => {
    const here = needsOn(needs, index);
    const stated = here.filter(({ needs: { member } }) => member.utilization !== undefined);
    const open = here.filter(({ needs: { member } }) => member.utilization === undefined);
    for (const { needs: one } of stated) found.set(one.member.id, one.member.utilization!);
    if (open.length === 0) return;
    const total = utilization ?? releaseUtilization(here.map((one) => one.needs));
    const left = Math.max(0, total - sum(stated.map(({ needs: { member } }) => member.utilization!)));
    const parts = partsOf(open, { split, left, totalBytes: gpu.cudaTotalBytes });
    // Engines that take turns leave their part to those that run.
    const turns = Math.max(1, open.length / Math.min(open.length, atOnce));
    open.forEach(({ needs: { member, shape } }, i) => {
      const part = Math.min(left, parts[i]! * turns);
      const most = cap(open[i]!, shape.blockBytes, gpu.cudaTotalBytes);
      const rounded =
        here.length === 1 && utilization === undefined ? Math.min(part, most) : downTo4(Math.min(part, most));
      found.set(member.id, Math.min(found.get(member.id) ?? 1, rounded));
    });
  });
  return found;
}

/** What one engine would use by itself. */
export function releaseUtilization(needs: readonly Needs[]): number {
  return Math.max(...needs.map(({ alone }) => alone.resolved.gpuMemoryUtilization));
}

type Here = ReturnType<typeof needsOn>[number];

/** A slice above the most KV cache that a model may take would lie idle. */
function cap({ needs, here }: Here, blockBytes: number, totalBytes: number): number {
  const { maxBytes, devices } = needs.member;
  if (maxBytes === null) return 1;
  const blocks = blockBytes > 0 ? Math.floor(maxBytes / devices.length / blockBytes) : 0;
  return (here.chargedBytes + blocks * blockBytes) / totalBytes;
}

function partsOf(
  open: readonly Here[],
  { split, left, totalBytes }: { split: StaticSharing['split']; left: number; totalBytes: number },
): number[] {
  switch (split) {
    case 'equal':
      return open.map(() => left / open.length);
    case 'weights': {
      const all = sum(open.map(({ here }) => here.weightsBytes));
      return open.map(({ here }) => (left * here.weightsBytes) / all);
    }
    case 'load': {
      // In whole steps of the flag, so that rounding it takes from nobody what it starts with.
      const step = totalBytes / 1e4;
      const needed = open.map((one) => Math.ceil(leastBytes(one) / step) * step);
      const least = sum(needed);
      const rest = left * totalBytes - least;
      // Too little for all: cut alike, and the engines say what they lack.
      if (rest < 0) return needed.map((bytes) => (left * bytes) / least);
      const loads = open.map(({ needs }) => heldBytes(needs));
      const all = sum(loads);
      return open.map((_, i) => (needed[i]! + (all > 0 ? (rest * loads[i]!) / all : rest / open.length)) / totalBytes);
    }
  }
}

/** What the engine charges before the KV cache, and one sequence of its full length: less it refuses. */
function leastBytes({ needs: { alone, shape }, here }: Here): number {
  return here.chargedBytes + (alone.kv.blocksPerRequest + 1) * shape.blockBytes;
}

/**
 * KV bytes that the requests of a model hold on average, on each of its GPUs (Little's law): requests a second x seconds that one is
 * served when it has the GPU alone (prompt, then every token) x bytes of its prompt and half of its output.
 */
function heldBytes({ member, alone, shape }: Needs): number {
  const { load, request } = member;
  if (!load) return 0;
  const { promptTokens, outputTokens, requestsPerSecond, concurrency, requests } = load;
  const context = Math.max(1, Math.ceil(promptTokens + outputTokens / 2));
  const bytes = alone.blocksAt(Math.min(context, alone.plan.kvCache.maxModelLen)) * shape.blockBytes;
  const speed = estimateSpeed({
    planned: alone,
    request,
    shape: { promptTokens: Math.max(1, promptTokens), outputTokens: Math.max(1, outputTokens), concurrency: 1 },
  });
  const seconds = speed ? speed.ttftSeconds + outputTokens * speed.tpotSeconds : outputTokens;
  const sequences = concurrency ?? (requestsPerSecond === null ? requests : requestsPerSecond * seconds);
  return bytes * Math.min(sequences, alone.resolved.maxNumSeqs);
}

/** As a flag is written, never above; a part that is meant to be 0.3 and comes out a bit below it is 0.3. */
function downTo4(value: number): number {
  return Math.floor(value * 1e4 + 1e-6) / 1e4;
}
