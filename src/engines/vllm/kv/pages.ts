// Bytes that one token takes in one layer's cache, by cache type. Source: vllm/v1/kv_cache_interface.py and the backends that
// pack pages themselves (triton_attn.py, flashinfer.py, turboquant_attn.py), 0.6 to 0.33.
import type { Dtype } from '../../../spec/model.ts';
import { divCeil } from '../../../units.ts';
import { dtypeBytes } from '../resolved.ts';

/** One value of a plain cache: the 16- or 32-bit type it names, or one byte for every fp8 flavour. */
export function elementBytes(cacheDtype: string, modelDtype: Dtype): number {
  if (cacheDtype === 'auto') return dtypeBytes[modelDtype];
  const plain = dtypeBytes[cacheDtype as Dtype];
  return plain ?? 1;
}

export interface HeadSizes {
  heads: number;
  headDim: number;
  valueHeadDim: number;
}

/** K and V of one token: heads x (what the cache type makes of a head of K and of V). */
export function attentionTokenBytes(
  { heads, headDim, valueHeadDim }: HeadSizes,
  cacheDtype: string,
  dtype: Dtype,
  keepsScales = true,
): number {
  const side = (size: number): number => {
    if (cacheDtype.endsWith('_per_token_head')) {
      // One float32 scale per token, head and side, where the backend keeps them in the page.
      return (cacheDtype.startsWith('int4') ? Math.floor(size / 2) : size) + (keepsScales ? 4 : 0);
    }
    // fp4 values and one fp8 scale per 16 of them.
    if (cacheDtype.startsWith('nvfp4')) return Math.floor(size / 2) + Math.floor(size / 16);
    return size * elementBytes(cacheDtype, dtype);
  };
  if (cacheDtype.startsWith('turboquant_')) return heads * turboquantSlot(cacheDtype, headDim);
  return heads * (side(headDim) + side(valueHeadDim));
}

const turboquantBits: Readonly<Record<string, { key: number; value: number }>> = {
  turboquant_k8v4: { key: 8, value: 4 },
  turboquant_4bit_nc: { key: 4, value: 4 },
  turboquant_k3v4_nc: { key: 3, value: 4 },
  turboquant_3bit_nc: { key: 3, value: 3 },
};

/** Packed key and value of one head: codes, a 2-byte norm with the key, 4 bytes of scale and zero with the value; even. */
function turboquantSlot(cacheDtype: string, headDim: number): number {
  const bits = turboquantBits[cacheDtype] ?? { key: 4, value: 4 };
  const key = bits.key === 8 ? headDim : divCeil(headDim * bits.key, 8) + 2;
  const value = divCeil(headDim * bits.value, 8) + 4;
  const slot = key + value;
  return slot + (slot % 2);
}

/** The latent vector of one token; the two packed layouts of sparse MLA have sizes of their own (512 + 16 + 128; 352). */
export function latentTokenBytes(latentDim: number, cacheDtype: string, dtype: Dtype): number {
  if (cacheDtype === 'fp8_ds_mla') return 656;
  if (cacheDtype === 'nvfp4_ds_mla') return 352;
  return latentDim * elementBytes(cacheDtype, dtype);
}

/** An indexer key of one token: fp8 values and a float32 scale per 128 of them. */
export function indexerTokenBytes(headDim: number): number {
  return headDim + divCeil(headDim, 128) * 4;
}
