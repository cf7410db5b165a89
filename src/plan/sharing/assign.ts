// On which GPUs of a pool each model runs, where the file does not say: the largest weights first, each onto as many GPUs as its layout
// needs, those with the most room left.
interface Placed {
  /** Bytes that it takes on each of its GPUs. */
  bytes: number;
  /** GPUs that its layout needs. */
  needed: number;
  devices?: readonly number[] | undefined;
}

/** GPU indexes by model, in rank order; `rooms` are the bytes of each GPU. */
export function assignDevices(models: readonly Placed[], rooms: readonly number[]): number[][] {
  const left = [...rooms];
  const found = models.map(({ devices }) => (devices ? [...devices] : undefined));
  models.forEach(({ bytes }, i) => {
    for (const gpu of found[i] ?? []) left[gpu]! -= bytes;
  });
  const order = models.map((_, i) => i).filter((i) => found[i] === undefined);
  order.sort((a, b) => models[b]!.bytes - models[a]!.bytes || a - b);
  for (const i of order) {
    const { bytes, needed } = models[i]!;
    const gpus = left.map((_, gpu) => gpu).sort((a, b) => left[b]! - left[a]! || a - b);
    found[i] = gpus.slice(0, needed).sort((a, b) => a - b);
    for (const gpu of found[i]!) left[gpu]! -= bytes;
  }
  return found.map((devices) => devices!);
}
