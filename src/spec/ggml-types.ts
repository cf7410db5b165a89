// The tensor types of ggml: how many values share a block and what a block takes. A row is stored in whole blocks, so that a row
// whose length is no multiple of the block cannot have the type. Source: ggml-common.h (static asserts), ggml.c type_traits.
import { assert } from '../assert.ts';

interface TypeRow {
  /** Number in a GGUF file. */
  id: number;
  /** Values of one block. */
  block: number;
  /** Bytes of one block. */
  bytes: number;
}

const row = (id: number, block: number, bytes: number): TypeRow => ({ id, block, bytes });

export const ggmlTypes = {
  f32: row(0, 1, 4),
  f16: row(1, 1, 2),
  q4_0: row(2, 32, 18),
  q4_1: row(3, 32, 20),
  q5_0: row(6, 32, 22),
  q5_1: row(7, 32, 24),
  q8_0: row(8, 32, 34),
  q8_1: row(9, 32, 36),
  q2_k: row(10, 256, 84),
  q3_k: row(11, 256, 110),
  q4_k: row(12, 256, 144),
  q5_k: row(13, 256, 176),
  q6_k: row(14, 256, 210),
  q8_k: row(15, 256, 292),
  iq2_xxs: row(16, 256, 66),
  iq2_xs: row(17, 256, 74),
  iq3_xxs: row(18, 256, 98),
  iq1_s: row(19, 256, 50),
  iq4_nl: row(20, 32, 18),
  iq3_s: row(21, 256, 110),
  iq2_s: row(22, 256, 82),
  iq4_xs: row(23, 256, 136),
  i8: row(24, 1, 1),
  i16: row(25, 1, 2),
  i32: row(26, 1, 4),
  i64: row(27, 1, 8),
  f64: row(28, 1, 8),
  iq1_m: row(29, 256, 56),
  bf16: row(30, 1, 2),
  tq1_0: row(34, 256, 54),
  tq2_0: row(35, 256, 66),
  mxfp4: row(39, 32, 17),
  nvfp4: row(40, 64, 36),
  q1_0: row(41, 128, 18),
  q2_0: row(42, 64, 18),
} as const satisfies Record<string, TypeRow>;

export type GgmlType = keyof typeof ggmlTypes;

/** Bytes of `values` consecutive values; asserts that they are whole blocks. */
export function rowBytes(type: GgmlType, values: number): number {
  const { block, bytes } = ggmlTypes[type];
  assert(values % block === 0, `a row of ${values} values is no whole number of ${type} blocks (${block})`);
  return (values / block) * bytes;
}

/** Bytes of a tensor with these dimensions, the row length first. */
export function tensorBytes(type: GgmlType, ne: readonly number[]): number {
  const [values = 1, ...rest] = ne;
  return rest.reduce((total, n) => total * n, rowBytes(type, values));
}

export function isQuantized(type: GgmlType): boolean {
  return ggmlTypes[type].block > 1;
}
