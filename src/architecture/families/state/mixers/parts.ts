// The pieces that state mixers are made of: depthwise convolutions and per-head or per-channel parameters. A convolution is
// stored as [channels, 1, kernel] and no scheme quantizes it.
import { column, type Where } from '../../../build.ts';
import type { Shard, TensorGroup } from '../../../types.ts';

/** A depthwise convolution over the sequence, with its bias when `bias` is set. */
export function convolution(
  name: string,
  channels: number,
  kernel: number,
  options: Where & { shard?: Shard; bias?: boolean; merge?: string; dtype?: 'float32' },
): TensorGroup[] {
  const { shard = column, bias = false, merge, dtype, part = 'text', ...where } = options;
  const common = {
    ...where,
    part,
    role: 'state-other',
    shard,
    ...(merge ? { merge } : {}),
    ...(dtype ? { dtype } : {}),
  } as const;
  const groups: TensorGroup[] = [{ ...common, name: `${name}.weight`, shape: [channels, 1, kernel] }];
  if (bias) groups.push({ ...common, name: `${name}.bias`, shape: [channels] });
  return groups;
}

/** A bare parameter of the mixer (A_log, D, dt_bias, inner norms). */
export function parameter(
  name: string,
  shape: readonly number[],
  options: Where & { shard: Shard; dtype?: 'float32'; derived?: boolean; fileShape?: readonly number[] },
): TensorGroup {
  const { part = 'text', ...rest } = options;
  return { ...rest, name, shape, role: 'state-other', part };
}
