// The largest item of each modality that an engine can be sent, and profiles its encoder with: tokens it takes in the decoder and
// values of its processed input. Limits that live in a model's preprocessor_config.json and not in config.json are stated here as
// numbers of the published processors (confidence says so). Source: get_image_size_with_most_features and the dummy input builders
// in vLLM model_executor/models/*.py.
import type { JsonObject } from '../../../spec/model.ts';
import type { EncoderShape } from '../../types.ts';
import { towerConfig } from './parts.ts';

type Confidence = EncoderShape['confidence'];

const image = (tokensPerItem: number, inputValuesPerItem: number, confidence: Confidence): EncoderShape => ({
  modality: 'image',
  tokensPerItem,
  inputValuesPerItem,
  confidence,
});

/** One square image at the tower's resolution, `tokens` soft tokens. */
export function squareImage(
  vision: JsonObject | undefined,
  tokens: number,
  confidence: Confidence = 'derived',
): EncoderShape {
  return image(tokens, 3 * towerConfig(vision).int('imageSize') ** 2, confidence);
}

/** LLaVA-NeXT: the image in 2 x 2 tiles with a token at the end of each row of the joined features, and the thumbnail. */
export function nextImage(vision: JsonObject | undefined): EncoderShape {
  const config = towerConfig(vision);
  const size = config.int('imageSize');
  const side = Math.floor(size / config.int('patchSize'));
  return image(2 * side * (2 * side + 1) + side ** 2, 5 * 3 * size ** 2, 'estimated');
}

/** Kimi-VL: the profiled image of 1024 x 1024 pixels, rounded up to merged patches. */
export function kimiVlImage(vision: JsonObject | undefined): EncoderShape {
  const patch = towerConfig(vision).int('patchSize', 14);
  const side = Math.ceil(1024 / (2 * patch));
  return image(side ** 2, (2 * side) ** 2 * 3 * patch ** 2, 'estimated');
}

/** Pixtral: the largest square, one token per merged patch and one at the end of each row. */
export function pixtralImage(vision: JsonObject | undefined, merge: number): EncoderShape {
  const config = towerConfig(vision);
  const size = config.int('imageSize');
  const side = Math.ceil(size / (config.int('patchSize') * merge));
  return image(side * (side + 1), 3 * size ** 2, 'derived');
}

/** Llama 4: a column of 16 tiles and the thumbnail; the processor allows 16 (max_patches). A separator follows each tile. */
export function llama4Image(vision: JsonObject | undefined): EncoderShape {
  const config = towerConfig(vision);
  const ratio = typeof vision?.pixelShuffleRatio === 'number' ? vision.pixelShuffleRatio : 0.5;
  const perTile = (config.int('imageSize') / config.int('patchSize')) ** 2 * ratio ** 2;
  const tiles = 17;
  return image(tiles * perTile, tiles * 3 * config.int('imageSize') ** 2, 'derived');
}

/** InternVL: as many tiles as the configuration allows, and the thumbnail when there is more than one. */
export function internImage(vision: JsonObject | undefined, config: Readonly<Record<string, unknown>>): EncoderShape {
  const tower = towerConfig(vision);
  const ratio = typeof config.downsampleRatio === 'number' ? config.downsampleRatio : 0.5;
  const most = typeof config.maxDynamicPatch === 'number' ? config.maxDynamicPatch : 12;
  const tiles = most + (config.useThumbnail !== false && most > 1 ? 1 : 0);
  const size = tower.int('imageSize');
  return image(tiles * (size / tower.int('patchSize')) ** 2 * ratio ** 2, tiles * 3 * size ** 2, 'derived');
}

export interface PixelLimits {
  /** Pixels of the largest image (size.longest_edge or max_pixels of the image processor). */
  image: number;
  /** Pixels of the largest video item, per pair of frames. */
  video: number;
  /** Pairs of frames in the longest dummy video. */
  pairs: number;
}

/** Published processors: Qwen2-VL and Qwen2.5-VL max_pixels, 14 dummy frames. */
export const qwen2Limits: PixelLimits = { image: 12_845_056, video: 12_845_056, pairs: 7 };
/** Qwen3-VL and Qwen3.5: the video processor's longest_edge 25,165,824 counts both frames of a pair. */
export const qwen3Limits: PixelLimits = { image: 16_777_216, video: 12_582_912, pairs: 1 };
/** GLM-4.1V and 4.5V: longest_edge 9,633,792 counts both frames of a pair, for images too. */
export const glmLimits: PixelLimits = { image: 4_816_896, video: 4_816_896, pairs: 1 };
/** MiniMax-M3: 672 x 672 pixels per image, 768 x 28 x 28 per frame, 500 frames. */
export const minimaxLimits: PixelLimits = { image: 451_584, video: 602_112, pairs: 250 };

/** Models that cut images into patches of two frames: tokens = pixels / merged patch, input = patches x patch values. */
export function patchedItems(vision: JsonObject | undefined, limits: PixelLimits, merge = 2): EncoderShape[] {
  const config = towerConfig(vision);
  const patch = config.int('patchSize', 14);
  const unit = (patch * merge) ** 2;
  const valuesPerToken = merge ** 2 * 3 * config.int('temporalPatchSize', 2) * patch ** 2;
  const item = (modality: 'image' | 'video', pixels: number): EncoderShape => {
    const tokens = Math.floor(pixels / unit);
    return { modality, tokensPerItem: tokens, inputValuesPerItem: tokens * valuesPerToken, confidence: 'estimated' };
  };
  const video = item('video', limits.video);
  return [item('image', limits.image), limits.pairs > 1 ? { ...video, repeatToLength: limits.pairs } : video];
}

/** Gemma 4: images of `defaultOutputLength` tokens, videos of 32 frames with 70 tokens, 2 marks and a time stamp of 6 each. */
export function gemma4Items(vision: JsonObject | undefined, audio: JsonObject | undefined): EncoderShape[] {
  const config = towerConfig(vision);
  const tokens = config.int('defaultOutputLength', config.int('numSoftTokens', 280));
  const pooled = config.int('poolingKernelSize', 3) ** 2;
  const patchValues = 3 * config.int('patchSize') ** 2;
  const frames = 32;
  const frameTokens = 70;
  const items: EncoderShape[] = [
    image(tokens, tokens * pooled * patchValues, 'estimated'),
    {
      modality: 'video',
      tokensPerItem: frames * (frameTokens + 8),
      inputValuesPerItem: frames * frameTokens * pooled * patchValues,
      confidence: 'estimated',
    },
  ];
  // 30 seconds of audio: 750 tokens of 40 ms, four mel frames of 128 bins each.
  if (audio)
    items.push({ modality: 'audio', tokensPerItem: 750, inputValuesPerItem: 750 * 4 * 128, confidence: 'estimated' });
  return items;
}

/** Kimi-K2.5: the processor's limit of 16,384 patches in an image of 14-pixel patches, merged by four. */
export function moonvitImage(vision: JsonObject | undefined): EncoderShape {
  const patch = towerConfig(vision).int('patchSize');
  const patches = 16_384;
  return image(patches / 4, patches * 3 * patch ** 2, 'estimated');
}

/** Phi-3.5-vision: four crops and the global view, 144 tokens each, row separators. */
export function phi3Image(tokensPerCrop: number): EncoderShape {
  const crops = 4;
  return image((crops + 1) * tokensPerCrop + 1 + (crops + 1) * 12, (crops + 1) * 3 * 336 ** 2, 'estimated');
}

/** Molmo: 12 overlapping crops of 336 pixels in a 3 x 4 grid of 12 x 12 - 4 patches, and the whole image, pooled by two. */
export function molmoImage(): EncoderShape {
  const [crops, window, margin] = [12, 16, 8];
  const side = (count: number) => Math.floor((count * window + margin + 1) / 2);
  const joint = 2 + (side(4) + 1) * side(3);
  const whole = 2 + (12 + 1) * 12;
  return image(joint + whole, (crops + 1) * 3 * 336 ** 2, 'estimated');
}

/** Llama 3.2 Vision: all tiles, which enter through cross-attention. */
export function mllamaImage(vision: JsonObject | undefined): EncoderShape {
  const config = towerConfig(vision);
  const tiles = config.int('maxNumTiles', 4);
  const size = config.int('imageSize');
  const perTile = (size / config.int('patchSize')) ** 2 + 1;
  return image(tiles * perTile, tiles * 3 * size ** 2, 'derived');
}
