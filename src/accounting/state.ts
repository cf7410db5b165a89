// Bytes of the recurrent state that one layer keeps per sequence on one tensor-parallel rank. It knows shapes only: which
// types the states have, which of them speculation lengthens and how a page is padded is for the engine to say.
// Law: vllm/model_executor/layers/mamba/mamba_utils.py MambaStateShapeCalculator (0.10 to 0.33).
import type { StateLayout } from '../architecture/types.ts';
import { assertNever } from '../assert.ts';
import { type Bytes, divExact } from '../units.ts';

export type StateKind = StateLayout['type'];

export interface StateShapeOptions {
  tensorParallelSize: number;
  /** Draft tokens per step whose inputs a convolution keeps too. */
  speculativeTokens?: number;
  /** The layouts whose convolution grows by the draft tokens in this release. */
  speculationLengthens?: readonly StateKind[];
}

/** One state tensor. `dtype` says whose type it has: the convolution's (mamba_cache_dtype) or the scan's (mamba_ssm_cache_dtype). */
export interface StateTensor {
  dtype: 'conv' | 'ssm';
  shape: readonly number[];
}

/** The state tensors of one layer on one rank, in the engine's order. Ranks must divide the heads (see stateSplits). */
export function stateTensors(layout: StateLayout, options: StateShapeOptions): readonly StateTensor[] {
  const { tensorParallelSize: tp } = options;
  const conv = (channels: number, kernel: number): StateTensor => ({
    dtype: 'conv',
    shape: [convLength(layout.type, kernel, options), divExact(channels, tp)],
  });
  switch (layout.type) {
    case 'mamba1':
      return [conv(layout.inner, layout.conv), { dtype: 'ssm', shape: [divExact(layout.inner, tp), layout.state] }];
    case 'mamba2':
      return [
        conv(layout.inner + 2 * groupsOnRanks(layout.groups, tp) * layout.state, layout.conv),
        { dtype: 'ssm', shape: [divExact(layout.heads, tp), layout.headDim, layout.state] },
      ];
    case 'gdn':
      return [
        conv(2 * layout.keyHeads * layout.keyDim + layout.valueHeads * layout.valueDim, layout.conv),
        { dtype: 'ssm', shape: [divExact(layout.valueHeads, tp), layout.valueDim, layout.keyDim] },
      ];
    case 'kda':
      // Up to 0.26 the convolutions of q, k and v are three tensors; their bytes are the same.
      return [
        conv(3 * layout.heads * layout.headDim, layout.conv),
        { dtype: 'ssm', shape: [divExact(layout.heads, tp), layout.headDim, layout.headDim] },
      ];
    case 'linear':
      return [{ dtype: 'conv', shape: [divExact(layout.heads, tp), layout.headDim, layout.headDim] }];
    case 'short-conv':
      return [conv(layout.dim, layout.conv)];
    default:
      return assertNever(layout);
  }
}

/** The page of one layer before padding: sum over its states of values x bytes per value. */
export function statePageBytes(
  layout: StateLayout,
  options: StateShapeOptions & { convBytes: number; ssmBytes: number },
): Bytes {
  let bytes = 0;
  for (const { dtype, shape } of stateTensors(layout, options)) {
    bytes += shape.reduce((a, b) => a * b, 1) * (dtype === 'conv' ? options.convBytes : options.ssmBytes);
  }
  return bytes;
}

/** Whether so many ranks can share the state. Groups may be fewer than ranks only where there is a single one. */
export function stateSplits(layout: StateLayout, tp: number): boolean {
  switch (layout.type) {
    case 'mamba1':
      return layout.inner % tp === 0;
    case 'mamba2':
      return layout.heads % tp === 0 && (layout.groups % tp === 0 || layout.groups === 1);
    case 'gdn':
      return layout.valueHeads % tp === 0 && (2 * layout.keyHeads * layout.keyDim) % tp === 0;
    case 'kda':
    case 'linear':
      return layout.heads % tp === 0;
    case 'short-conv':
      return layout.dim % tp === 0;
    default:
      return assertNever(layout);
  }
}

/** A convolution over k inputs keeps the last k - 1 of them, and those of the drafts that may yet be rejected. */
function convLength(type: StateKind, kernel: number, options: StateShapeOptions): number {
  const { speculativeTokens = 0, speculationLengthens = [] } = options;
  return kernel - 1 + (speculationLengthens.includes(type) ? speculativeTokens : 0);
}

/** B and C groups over all ranks: raised to the number of ranks where that does not divide them. */
function groupsOnRanks(groups: number, tp: number): number {
  return groups % tp === 0 ? groups : tp;
}
