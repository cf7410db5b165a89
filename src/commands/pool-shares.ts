// Whose weights are whose: models of a pool that name each other, or the same name, have their weights in common, or one part of them. The
// first in the file counts them. What is said to be the same has to be the same size on the same GPUs.
import { inputError } from '../diagnostics.ts';
import type { VllmPlanned } from '../engines/vllm/plan.ts';
import { printable } from '../load/names.ts';
import type { PoolMember } from '../plan/sharing/types.ts';
import type { PoolModel } from '../spec/pool.ts';

interface Named {
  model: PoolModel;
  place: string;
}

/** By model: what another one counts. Throws InputError VRAM734. */
export function sharedWeights(
  models: readonly Named[],
  planned: readonly VllmPlanned[],
  devices: readonly (readonly number[])[],
): PoolMember['shared'][] {
  const found = models.map((): { holder: string; part?: string }[] => []);
  const count = (i: number, holder: number, part: string | undefined, place: string): void => {
    const of = (at: number): Sharer => ({ id: models[at]!.model.id, planned: planned[at]!, devices: devices[at]! });
    checkSame({ part, path: `${place}.shares` }, of(holder), of(i));
    if (found[i]!.some((one) => one.part === part)) return;
    found[i]!.push({ holder: models[holder]!.model.id, ...(part === undefined ? {} : { part }) });
  };
  models.forEach(({ model, place }, i) => {
    for (const { with: name, part } of model.shares) {
      const sharers = models
        .map((other, at) => ({ other, at }))
        .filter(
          ({ other, at }) =>
            at === i ||
            other.model.id === name ||
            other.model.shares.some((share) => share.with === name && share.part === part),
        )
        .map(({ at }) => at);
      if (sharers.length < 2) {
        throw inputError(
          'VRAM734',
          `${printable(model.id)} shares weights with ${JSON.stringify(printable(name))}, which nobody else does`,
          {
            hint: 'name the id of another model, or the same name in several',
            path: `${place}.shares`,
          },
        );
      }
      const holder = sharers[0]!;
      if (holder === i) continue;
      count(i, holder, part, place);
    }
  });
  // A model that is named counts its own only if it is the first of them.
  models.forEach(({ model, place }, i) => {
    models.slice(0, i).forEach((other, at) => {
      for (const { with: name, part } of other.model.shares) if (name === model.id) count(i, at, part, place);
    });
  });
  return found;
}

interface Sharer {
  id: string;
  planned: VllmPlanned;
  devices: readonly number[];
}

function checkSame({ part, path }: { part: string | undefined; path: string }, a: Sharer, b: Sharer): void {
  const names = `${printable(a.id)} and ${printable(b.id)}`;
  if (a.devices.join() !== b.devices.join()) {
    throw inputError('VRAM734', `${names} share weights but not their GPUs`, {
      hint: 'give both the same devices',
      path,
    });
  }
  const bytesOf = ({ planned: { ranks } }: Sharer): number =>
    part === undefined ? ranks[0]!.weights.tensorBytes : (ranks[0]!.weights.parts[part] ?? 0);
  const [first, second] = [bytesOf(a), bytesOf(b)];
  if (first === second && first > 0) return;
  const parts = [a, b].map(
    ({ id, planned: { ranks } }) => `${printable(id)} has ${Object.keys(ranks[0]!.weights.parts).join(', ')}`,
  );
  throw inputError(
    'VRAM734',
    `${names} do not have the same ${part === undefined ? 'weights' : `part ${JSON.stringify(printable(part))}`}`,
    {
      hint: part === undefined ? 'share a part of them: shares: { with: ..., part: vision }' : parts.join('; '),
      path,
    },
  );
}
