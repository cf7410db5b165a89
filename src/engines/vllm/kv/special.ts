// DeepSeek-V4's caches: a window of latent vectors in every layer, compressed vectors and the compressor's running state where
// tokens are compressed, and the same pair for the indexer. Source: vllm/models/deepseek_v4/{attention,compressor}.py and
// v1/attention/backends/mla/sparse_swa.py, 0.20 to 0.33.
import type { CacheLayout } from '../../../architecture/types.ts';
import { assert } from '../../../assert.ts';
import { alignUp } from '../../../units.ts';
import { indexerTokenBytes } from './pages.ts';
import type { KvLayerSpec } from './types.ts';

type Special = Extract<CacheLayout, { kind: 'special' }>;

/** One latent vector in the fp8_ds_mla layout of this model: 448 fp8, 64 x 16-bit rope values, 8 scale bytes. */
const latentBytes = 584;
/** Pages are padded to whole rows of the FlashMLA kernel. */
const pageAlignment = 576;
/** Tokens in a page of the plain window. */
const windowBlock = 64;

export function specialSpec(layer: number, layout: Special, blockSize: number): KvLayerSpec {
  const { variant, sizes } = layout;
  const of = (name: string): number => {
    const value = sizes[name];
    assert(value !== undefined, `cache ${variant} lacks ${name}`);
    return value;
  };
  const packed = (spec: Omit<KvLayerSpec, 'layer' | 'pageBytes' | 'heads' | 'blockOutermost' | 'variant'>) => ({
    ...spec,
    layer,
    heads: 1,
    variant,
    blockOutermost: true,
    pageBytes: alignUp(spec.realPageBytes, pageAlignment),
  });
  switch (variant) {
    case 'v4-window': {
      const realPageBytes = windowBlock * latentBytes;
      return packed({
        ...latent(of('headDim')),
        kind: 'window-mla',
        blockSize: windowBlock,
        window: of('window'),
        realPageBytes,
      });
    }
    case 'v4-compressed': {
      const realPageBytes = Math.floor(blockSize / of('ratio')) * latentBytes;
      return packed({ ...latent(of('headDim')), kind: 'mla', blockSize, realPageBytes });
    }
    case 'v4-indexer': {
      const tokenBytes = indexerTokenBytes(of('headDim'));
      const realPageBytes = Math.floor(blockSize / of('ratio')) * tokenBytes;
      return packed({ kind: 'mla', blockSize, headDim: tokenBytes, dtype: 'uint8', realPageBytes });
    }
    case 'v4-compressor-state': {
      const tokens = of('ratio') === 4 ? 4 : 8;
      const width = of('width');
      const realPageBytes = tokens * width * 4;
      return packed({
        kind: 'window-mla',
        blockSize: tokens,
        window: of('window'),
        headDim: width,
        dtype: 'float32',
        realPageBytes,
      });
    }
    default:
      assert(false, `unknown cache ${variant}`);
  }
}

function latent(headDim: number): Pick<KvLayerSpec, 'headDim' | 'dtype' | 'cacheDtype'> {
  return { headDim, dtype: 'uint8', cacheDtype: 'fp8_ds_mla' };
}
