// The compute buffers of a multimodal projector, which its warm-up reserves for one picture. Law: tools/mtmd/clip.cpp (load_hparams for
// the picture's size, warmup and reserve_compute_meta for what is reserved).
import type { GgufModel, GgufValue } from '../../../../spec/gguf.ts';
import { allocate } from '../allocator.ts';
import { flashAttentionRuns } from '../cuda.ts';
import type { GraphRules } from '../rules.ts';
import { schedule } from '../scheduler.ts';
import { towers } from './towers.ts';
import { Vit, type VitSizes } from './vit.ts';

export interface ProjectorBuffers {
  /** On the GPU, and in plain host memory. */
  gpu: number;
  host: number;
}

export interface ProjectorGraph {
  model: GgufModel;
  /** No flash attention whatever the GPU can do. */
  flash: boolean;
  /** 1, or 0 with --no-mmproj-offload. */
  devices: 0 | 1;
  rules: GraphRules;
  /** The warm-up's picture, or the largest that the server scales a picture to. */
  picture?: 'warmup' | 'largest';
}

/** Undefined: the projector's graph is not known. Flash attention that no kernel runs is tried first, then left out. */
export function projectorBuffers(input: ProjectorGraph): ProjectorBuffers | undefined {
  const { metadata } = input.model;
  const type = String(metadata['vision.projector_type'] ?? metadata.projector_type ?? '');
  const build = Object.hasOwn(towers, type) ? towers[type] : undefined;
  const sizes = vitSizes(metadata, type, input.picture ?? 'warmup');
  if (!build || !sizes) return undefined;
  const reserved = (flash: boolean): ProjectorBuffers & { runs: boolean } => {
    const graph = new Vit(input.model, sizes, flash, input.devices === 0 ? 'cpu' : 0, activationOf(metadata, type));
    build(graph);
    const runs = graph.nodes.every((t) => t.op !== 'flash_attn_ext' || flashAttentionRuns(t, input.rules.flash));
    const { devices, rules } = input;
    const plan = schedule({ graph, devices, copies: 1, opOffload: true, rules });
    const { flash: kernels, returnsRest } = rules;
    const bytes = allocate({
      schedule: plan,
      tensors: graph.tensors.length,
      backends: devices + 1,
      flash: kernels,
      returnsRest,
    });
    return { gpu: devices === 0 ? 0 : bytes[0]!, host: bytes[devices]!, runs };
  };
  const first = reserved(input.flash);
  if (!input.flash || first.runs || input.devices === 0) return { gpu: first.gpu, host: first.host };
  const second = reserved(false);
  return { gpu: Math.max(first.gpu, second.gpu), host: Math.max(first.host, second.host) };
}

/** FFN_GELU and so on; Gemma 4's and MiniMax's are their own. */
function activationOf(metadata: Readonly<Record<string, GgufValue>>, type: string): string {
  if (type === 'minimax_m3') return 'gelu_erf';
  if (metadata.use_gelu === true) return 'gelu';
  return metadata.use_silu === true ? 'silu' : 'gelu_quick';
}

/** Tokens of the picture that a warm-up shows, where it is not the model's own size. */
const warmupTokens: Readonly<Record<string, number>> = {
  pixtral: 256,
  gemma4v: 256,
  gemma4uv: 256,
  minimax_m3: 256,
  qwen2vl_merger: 46 * 46,
  'qwen2.5vl_merger': 46 * 46,
  qwen3vl_merger: 46 * 46,
  glm4v: 46 * 46,
  exaone4_5: 46 * 46,
};

/** Tokens of the largest picture, where pictures keep their size up to it (set_limit_image_tokens). */
const mostTokens: Readonly<Record<string, number>> = {
  pixtral: 1024,
  gemma4v: 1120,
  gemma4uv: 1120,
  minimax_m3: 576,
  qwen2vl_merger: 4096,
  'qwen2.5vl_merger': 4096,
  qwen3vl_merger: 4096,
  glm4v: 4096,
};

const defaultMerge: Readonly<Record<string, number>> = {
  qwen2vl_merger: 2,
  'qwen2.5vl_merger': 2,
  qwen3vl_merger: 2,
  glm4v: 2,
  exaone4_5: 2,
  minimax_m3: 2,
  gemma3: 4,
  gemma4v: 3,
  gemma4uv: 3,
};

function vitSizes(
  metadata: Readonly<Record<string, GgufValue>>,
  type: string,
  picture: 'warmup' | 'largest',
): VitSizes | undefined {
  const at = (key: string): number | undefined => {
    const value = metadata[`vision.${key}`];
    return typeof value === 'number' ? value : undefined;
  };
  const [embd, heads, blocks] = [at('embedding_length'), at('attention.head_count'), at('block_count')];
  let patchSize = at('patch_size');
  if (embd === undefined || heads === undefined || blocks === undefined || !patchSize) return undefined;
  const scaled = at('projector.scale_factor') ?? at('spatial_merge_size');
  let merge = scaled ?? defaultMerge[type] ?? 1;
  if (type === 'gemma4uv') {
    patchSize *= merge;
    merge = 1;
  }
  const tokens = (picture === 'largest' ? mostTokens[type] : undefined) ?? warmupTokens[type];
  const largest = at('image_max_pixels');
  const own = type === 'kimik25' && largest ? Math.floor(Math.sqrt(largest)) : (at('image_size') ?? 0);
  return {
    imageSize: tokens === undefined ? own : Math.floor(Math.sqrt(tokens)) * patchSize * merge,
    patchSize,
    merge,
    embd,
    heads,
    kvHeads: at('attention.head_count_kv') ?? heads,
    blocks,
    projected: at('projection_dim') ?? embd,
  };
}
