// The multimodal projector's buffers: its tensors, and the compute buffer that its warm-up reserves for one picture. Law:
// tools/mtmd/clip.cpp (load_hparams, load_tensors, warmup, reserve_compute_meta).
import { tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import { alignUp, sum } from '../../units.ts';

export interface ProjectorLoad {
  modelBytes: number;
  computeBytes: number;
  /** The range in which the compute buffer is expected. */
  computeLow: number;
  computeHigh: number;
  place: 'gpu0' | 'cpu';
}

/** Alignment of tensors in a GPU's buffer. */
const alignment = 128;

export function loadProjector(projector: GgufModel, place: ProjectorLoad['place'] = 'gpu0'): ProjectorLoad {
  const modelBytes = sum(projector.tensors.map(({ type, ne }) => alignUp(tensorBytes(type, ne), alignment)));
  const computeBytes = estimateProjector(projector);
  return {
    modelBytes,
    computeBytes,
    computeLow: Math.round(computeBytes * 0.75),
    computeHigh: Math.round(computeBytes * 1.5),
    place,
  };
}

const float = 4;

/** The widest moment of a block over the patches of the picture: Q, K and V beside the residual, or the network's hidden values. */
function estimateProjector({ metadata }: GgufModel): number {
  const at = (key: string): number => Number(metadata[`vision.${key}`] ?? 0);
  const patches = patchesOf(metadata);
  const width = at('embedding_length');
  const widest = Math.max(5 * width, width + 2 * at('feed_forward_length'));
  return float * patches * widest;
}

function patchesOf(metadata: GgufModel['metadata']): number {
  const side = Number(metadata['vision.image_size'] ?? 0) / Number(metadata['vision.patch_size'] ?? 14);
  return Math.round(side * side);
}
