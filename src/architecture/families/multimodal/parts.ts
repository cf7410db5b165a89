// Builders for encoder towers and projectors: the same tensor groups as build.ts makes, with the part and role of a tower.
// A matrix that the engine's quantization may touch is made by `matrix`, every other tensor (patch embeddings, position
// tables, norms, plain projections) by `tensor` and stays whole on every rank unless a shard is given.
import { assert } from '../../../assert.ts';
import type { JsonObject } from '../../../spec/model.ts';
import { column, range, replicated, row } from '../../build.ts';
import type { Shard, TensorGroup } from '../../types.ts';

export type TowerPart = 'vision' | 'audio' | 'projector';

export interface Place {
  part?: TowerPart;
  /** Block numbers of the tower, for names with {layer}. */
  layers?: readonly number[];
  /** In the file but not loaded (see TensorGroup.unloaded). */
  unloaded?: boolean;
}

/** A tensor outside the linear layers. */
export function tensor(
  name: string,
  shape: readonly number[],
  options: Place & { shard?: Shard; buffer?: boolean } = {},
): TensorGroup[] {
  const { part = 'vision', shard = replicated, ...rest } = options;
  return [{ ...rest, name, shape, role: part, part, shard }];
}

/** A norm with its weight, and its bias for a LayerNorm. */
export function towerNorm(name: string, size: number, options: Place & { bias: boolean }): TensorGroup[] {
  const { bias, ...place } = options;
  return [...tensor(`${name}.weight`, [size], place), ...(bias ? tensor(`${name}.bias`, [size], place) : [])];
}

/** A linear layer [out, in] of a tower. */
export function matrix(
  name: string,
  shape: readonly [number, number],
  options: Place & { shard?: Shard; bias?: boolean; merge?: string; plain?: boolean },
): TensorGroup[] {
  const { part = 'vision', shard = replicated, bias = false, merge, plain = false, ...rest } = options;
  const common = { ...rest, role: part, part, ...(merge ? { merge } : {}) };
  const groups: TensorGroup[] = [
    { ...common, name: `${name}.weight`, shape, shard, ...(plain ? {} : { linear: true }) },
  ];
  if (bias) groups.push({ ...common, name: `${name}.bias`, shape: [shape[0]], shard });
  return groups;
}

/** The rows of a fused q, k, v matrix: each third is split by heads on its own. */
export function fusedQkv(heads: number, kvHeads: number, headDim: number): Shard {
  const kv: Shard = { by: 'kv-heads', heads: kvHeads };
  return {
    by: 'segments',
    segments: [
      { rows: heads * headDim, shard: column },
      { rows: kvHeads * headDim, shard: kv },
      { rows: kvHeads * headDim, shard: kv },
    ],
  };
}

/** Separate q, k, v and the output projection of an encoder's attention, split by heads. */
export function towerAttention(
  prefix: string,
  size: number,
  options: Place & { bias: boolean; names: readonly [string, string, string, string]; width?: number; whole?: boolean },
): TensorGroup[] {
  const { bias, names, width = size, whole = false, ...place } = options;
  const merge = `${prefix}.qkv_proj`;
  const into = whole ? replicated : column;
  return [
    ...names
      .slice(0, 3)
      .flatMap((name) => matrix(`${prefix}.${name}`, [width, size], { ...place, shard: into, bias, merge })),
    ...matrix(`${prefix}.${names[3]}`, [size, width], { ...place, shard: whole ? replicated : row, bias }),
  ];
}

/** fc1 and fc2 of a plain MLP with biases. */
export function towerMlp(
  prefix: string,
  size: number,
  intermediateSize: number,
  options: Place & { bias?: boolean; names?: readonly [string, string] },
): TensorGroup[] {
  const { bias = true, names = ['fc1', 'fc2'], ...place } = options;
  return [
    ...matrix(`${prefix}.${names[0]}`, [intermediateSize, size], { ...place, shard: column, bias }),
    ...matrix(`${prefix}.${names[1]}`, [size, intermediateSize], { ...place, shard: row, bias }),
  ];
}

/** gate, up and down of a gated MLP. */
export function towerGatedMlp(
  prefix: string,
  size: number,
  intermediateSize: number,
  options: Place & { bias?: boolean },
): TensorGroup[] {
  const merge = `${prefix}.gate_up_proj`;
  return [
    ...matrix(`${prefix}.gate_proj`, [intermediateSize, size], { ...options, shard: column, merge }),
    ...matrix(`${prefix}.up_proj`, [intermediateSize, size], { ...options, shard: column, merge }),
    ...matrix(`${prefix}.down_proj`, [size, intermediateSize], { ...options, shard: row }),
  ];
}

/** Typed reading of a tower's configuration. */
export interface TowerConfig {
  int(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  ints(key: string, fallback: readonly number[]): readonly number[];
  text(key: string, fallback: string): string;
}

export function towerConfig(source: JsonObject | undefined, what = 'vision'): TowerConfig {
  const config = source ?? {};
  return {
    int(key, fallback) {
      const value = config[key] ?? fallback;
      assert(typeof value === 'number', `${what} configuration lacks ${key}`);
      return value;
    },
    flag(key, fallback) {
      const value = config[key];
      return typeof value === 'boolean' ? value : fallback;
    },
    ints(key, fallback) {
      const value = config[key];
      return Array.isArray(value) ? value.filter((item): item is number => typeof item === 'number') : fallback;
    },
    text(key, fallback) {
      const value = config[key];
      return typeof value === 'string' ? value : fallback;
    },
  };
}

export { column, range, row };
