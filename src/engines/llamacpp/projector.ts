// The multimodal projector's buffers: its tensors, and the compute buffer that its warm-up reserves for one picture. Pictures of a larger
// size take more later on. Law: tools/mtmd/clip.cpp (load_tensors, warmup, reserve_compute_meta).
import type { Confidence } from '../../plan/types.ts';
import { tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import { alignUp, MiB, sum } from '../../units.ts';
import { projectorBuffers } from './graph/projector/index.ts';
import { graphRules } from './graph/rules.ts';
import type { LlamaRules } from './rules.ts';
import type { LlamaOptions } from './types.ts';

interface ProjectorRules {
  'projector.flash': boolean;
  'projector.graph': 'known' | 'assumed';
}

export interface ProjectorLoad {
  modelBytes: number;
  /** As the warm-up reserves it. */
  computeBytes: number;
  /** The range in which it is expected to end up: up to the largest picture's. */
  computeLow: number;
  computeHigh: number;
  confidence: Confidence;
  /** Inputs that stay on the host. */
  hostBytes: number;
  place: 'gpu0' | 'cpu';
}

/** Alignment of tensors in a GPU's buffer. */
const alignment = 128;

export function loadProjector(
  projector: GgufModel,
  options: Pick<LlamaOptions, 'flashAttn' | 'noMmprojOffload'>,
  rules: LlamaRules,
): ProjectorLoad {
  const law = rules as unknown as ProjectorRules;
  const place = options.noMmprojOffload ? 'cpu' : 'gpu0';
  const kept = projector.tensors.filter(({ name }) => !isBound(name));
  const modelBytes = sum(kept.map(({ type, ne }) => alignUp(tensorBytes(type, ne), alignment)));
  const graph = {
    model: projector,
    flash: options.flashAttn !== 'off' && law['projector.flash'],
    devices: place === 'cpu' ? (0 as const) : (1 as const),
    rules: graphRules(rules),
  };
  const warm = projectorBuffers(graph);
  const most = projectorBuffers({ ...graph, picture: 'largest' });
  const ears = audioCompute(projector);
  if (!warm || !most) {
    const rough = roughCompute(projector) + ears;
    return spread({ modelBytes, computeBytes: rough, hostBytes: 0, place }, rough / 2, rough * 2);
  }
  const at = ({ gpu, host }: { gpu: number; host: number }) => (place === 'cpu' ? host : gpu) + ears;
  const found = { modelBytes, computeBytes: at(warm), hostBytes: place === 'cpu' ? 0 : warm.host, place } as const;
  if (law['projector.graph'] === 'assumed') return spread(found, at(warm) / 2, at(most) * 1.5);
  const settled = at(warm) === at(most) && ears === 0;
  return settled
    ? { ...found, computeLow: at(warm), computeHigh: at(warm), confidence: 'exact' }
    : spread(found, at(warm), Math.max(at(warm), at(most)));
}

type Found = Pick<ProjectorLoad, 'modelBytes' | 'computeBytes' | 'hostBytes' | 'place'>;

function spread(found: Found, low: number, high: number): ProjectorLoad {
  return { ...found, computeLow: Math.round(low), computeHigh: Math.round(high), confidence: 'estimated' };
}

/** Bounds of Gemma 4's linear layers are numbers to the engine, not tensors. */
const isBound = (name: string): boolean => /\.(?:in|out)put_(?:min|max)$/.test(name);

const float = 4;
/** Frames of sound that a warm-up shows. */
const audioFrames = 3000;

/** Sound has a context of its own. Gemma 4's were measured; of others the widest moment is taken. */
function audioCompute({ metadata, tensors }: GgufModel): number {
  if (metadata.has_audio_encoder !== true) return 0;
  const type = String(metadata['audio.projector_type'] ?? metadata.projector_type ?? '');
  if (type === 'gemma4a') return Math.round(101.19 * MiB);
  const [input, output] = tensors.find(({ name }) => name === 'mm.a.input_projection.weight')?.ne ?? [0, 0];
  if (type === 'gemma4ua') return audioFrames * float * (2 * (input ?? 0) + (output ?? 0));
  const width = Number(metadata['audio.embedding_length'] ?? 1280);
  return (
    (audioFrames / 2) * float * Math.max(6 * width, width + 2 * Number(metadata['audio.feed_forward_length'] ?? 0))
  );
}

/** The widest moment of a block over the patches of the picture: Q, K and V beside the residual, or the network's hidden values. */
function roughCompute({ metadata, tensors }: GgufModel): number {
  const at = (key: string): number => Number(metadata[`vision.${key}`] ?? 0);
  if (!tensors.some(({ name }: GgufTensor) => name.startsWith('v.'))) return 0;
  const side = at('image_size') / (at('patch_size') || 14);
  const width = at('embedding_length');
  return float * side * side * Math.max(7 * width, 3 * width + at('feed_forward_length'));
}
