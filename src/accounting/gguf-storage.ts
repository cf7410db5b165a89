// What a GGUF file stores: the values of its blocks and the scales and minima packed with them, and the tensors that are no blocks. Law:
// the block structures of ggml-common.h.
import { type GgmlType, ggmlTypes, isQuantized, tensorBytes } from '../spec/ggml-types.ts';
import type { GgufModel } from '../spec/gguf.ts';
import { emptyStorage, type Storage } from './storage.ts';

/** Bytes of a block that are values: quants, sign and high bits, codebook indices. The rest are scales, and minima. */
const valueBytes: Readonly<Partial<Record<GgmlType, number>>> = {
  q4_0: 16,
  q4_1: 16,
  q5_0: 20,
  q5_1: 20,
  q8_0: 32,
  q2_k: 64,
  q3_k: 96,
  q4_k: 128,
  q5_k: 160,
  q6_k: 192,
  iq2_xxs: 64,
  iq2_xs: 64,
  iq2_s: 72,
  iq3_xxs: 96,
  iq3_s: 104,
  iq1_s: 48,
  iq1_m: 48,
  iq4_nl: 16,
  iq4_xs: 128,
  tq1_0: 52,
  tq2_0: 64,
  mxfp4: 16,
  nvfp4: 32,
  q1_0: 16,
  q2_0: 16,
};

/** Minima (zero points times scale) of a block. */
const minimumBytes: Readonly<Partial<Record<GgmlType, number>>> = { q4_1: 2, q5_1: 2 };

export function ggufStorage(model: GgufModel): Storage {
  const storage = emptyStorage();
  for (const { type, ne } of model.tensors) {
    const bytes = tensorBytes(type, ne);
    storage.totalBytes += bytes;
    storage.parameters += ne.reduce((a, b) => a * b, 1);
    if (!isQuantized(type)) {
      if (ggmlTypes[type].bytes === 2) storage.sixteenBitBytes += bytes;
      else storage.otherBytes += bytes;
      continue;
    }
    const blocks = bytes / ggmlTypes[type].bytes;
    const values = blocks * (valueBytes[type] ?? ggmlTypes[type].bytes);
    const minima = blocks * (minimumBytes[type] ?? 0);
    storage.weightsBytes += values;
    storage.zeroPointsBytes += minima;
    storage.scalesBytes += bytes - values - minima;
  }
  return storage;
}
