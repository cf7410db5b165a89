// A model's towers -> the projector file that `convert_hf_to_gguf.py --mmproj` would write: names, dimensions and types of its
// tensors, and the metadata from which the size of its graph follows. Law: MmprojModel and its subclasses in conversion/ (v0.5.0),
// for LLaVA 1.5 tools/mtmd/legacy-models.
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor, GgufValue } from '../../spec/gguf.ts';
import type { JsonObject, ModelSpec } from '../../spec/model.ts';
import type { Architecture, TensorGroup } from '../types.ts';
import { mmprojGroups } from './index.ts';
import { projectorName } from './mmproj-names.ts';

export type ProjectorType = 'f32' | 'f16' | 'bf16' | 'q8_0';

/** What a class's converter does beside the common rules. */
interface Projector {
  type: string;
  /** The networks' activation where the converter does not read it; absent: hidden_act, else the quick gelu. */
  activation?: 'gelu' | 'silu' | 'quick';
  /** Q, K and V of one matrix become three. */
  splitsQkv?: boolean;
  /** Names that keep a type, whatever is asked for. */
  fixed?: readonly (readonly [RegExp, GgmlType])[];
  /** The [IMG_BREAK] token's embedding comes along. */
  breakToken?: boolean;
  /** Blocks after the one that is read are left out. */
  dropsLast?: boolean;
  audio?: string;
}

const positions: readonly [RegExp, GgmlType] = [/^v\.position_embd/, 'f32'];
const pixtral: Projector = { type: 'pixtral', breakToken: true };
const qwen3: Projector = { type: 'qwen3vl_merger', activation: 'gelu' };
const gemma4: Projector = {
  type: 'gemma4v',
  activation: 'quick',
  audio: 'gemma4a',
  fixed: [positions, [/^a\..*conv.*\.weight$/, 'f32']],
};

const projectors: Readonly<Record<string, Projector>> = {
  Mistral3ForConditionalGeneration: pixtral,
  Exaone4_5_ForConditionalGeneration: { type: 'exaone4_5', activation: 'silu' },
  Gemma3ForConditionalGeneration: {
    type: 'gemma3',
    activation: 'gelu',
    fixed: [
      [/^mm\.input_projection/, 'f16'],
      [/^v\.(?:patch_embd|position_embd)/, 'f32'],
    ],
  },
  Gemma4ForConditionalGeneration: gemma4,
  Gemma4UnifiedForConditionalGeneration: { ...gemma4, type: 'gemma4uv', audio: 'gemma4ua' },
  Glm4vForConditionalGeneration: { type: 'glm4v' },
  Glm4vMoeForConditionalGeneration: { type: 'glm4v' },
  InternVLChatModel: { type: 'internvl', splitsQkv: true },
  KimiK25ForConditionalGeneration: { type: 'kimik25', activation: 'gelu' },
  Llama4ForConditionalGeneration: { type: 'llama4', activation: 'gelu' },
  // Converted by a script of their own, which keeps positions in 16 bits.
  LlavaForConditionalGeneration: {
    type: 'mlp',
    activation: 'quick',
    dropsLast: true,
    fixed: [[/^v\.position_embd\.weight$/, 'f16']],
  },
  MiniMaxM3SparseForConditionalGeneration: { type: 'minimax_m3', activation: 'gelu' },
  Qwen2VLForConditionalGeneration: { type: 'qwen2vl_merger', activation: 'quick', splitsQkv: true },
  Qwen2_5_VLForConditionalGeneration: { type: 'qwen2.5vl_merger', activation: 'silu', splitsQkv: true },
  Qwen3VLForConditionalGeneration: qwen3,
  Qwen3VLMoeForConditionalGeneration: qwen3,
  Qwen3_5ForConditionalGeneration: qwen3,
  Qwen3_5MoeForConditionalGeneration: qwen3,
};

/** Undefined: the model has no towers, or llama.cpp cannot convert them. */
export function toMmproj(
  spec: ModelSpec,
  expanded: Architecture,
  stored: ProjectorType = 'f16',
): GgufModel | undefined {
  const projector = Object.hasOwn(projectors, spec.architecture) ? projectors[spec.architecture] : undefined;
  const groups = mmprojGroups(expanded);
  if (!projector || groups.length === 0) return undefined;
  const last = projector.dropsLast ? Number(vision(spec).numHiddenLayers) - 1 : Number.POSITIVE_INFINITY;
  const tensors = groups.flatMap((group) => tensorsOf(group, { spec, projector, stored, last }));
  if (projector.breakToken) {
    tensors.push({ name: 'v.token_embd.img_break', ne: [spec.config.hiddenSize], type: 'f32' });
  }
  const hasAudio = groups.some(({ part, name }) => part === 'audio' || /audio/.test(name));
  return {
    architecture: 'clip',
    metadata: metadataOf({ spec, projector, tensors, hasAudio }),
    tensors,
    vocabSize: 0,
  };
}

interface Conversion {
  spec: ModelSpec;
  projector: Projector;
  stored: ProjectorType;
  /** Number of the first block that is left out. */
  last: number;
}

function tensorsOf(group: TensorGroup, conversion: Conversion): GgufTensor[] {
  const { spec, projector, last } = conversion;
  const audio = group.part === 'audio' || /audio_tower/.test(group.name);
  const pattern = projectorName(group.name, spec.architecture) ?? `${audio ? 'a' : 'v'}.${group.name}`;
  const blocks = group.layers?.filter((block) => block < last) ?? [undefined];
  const pieces = piecesOf(pattern, group, projector);
  return blocks.flatMap((block) =>
    pieces.map(({ name, ne }) => {
      const full = block === undefined ? name : name.replace('{layer}', String(blockNumber(name, block, spec)));
      return { name: full, ne, type: typeOf(full, ne, conversion) };
    }),
  );
}

/** Mergers of Qwen3-VL are numbered by the blocks whose output they take. */
function blockNumber(name: string, block: number, spec: ModelSpec): number {
  const taken = vision(spec).deepstackVisualIndexes;
  const indexes = Array.isArray(taken) && taken.length > 0 ? taken : defaultDeepstack;
  return name.startsWith('v.deepstack.') ? Number(indexes[block]) : block;
}

const defaultDeepstack = [8, 16, 24];

function piecesOf(name: string, { shape }: TensorGroup, projector: Projector): { name: string; ne: number[] }[] {
  const [out = 1, ...rest] = shape;
  if (projector.splitsQkv && name.includes('attn_qkv')) {
    const ne = [...rest].reverse().concat(out / 3);
    return ['q', 'k', 'v'].map((part) => ({ name: name.replace('attn_qkv', `attn_${part}`), ne }));
  }
  // Two frames of a convolution over time become two convolutions.
  if (shape.length === 5) {
    const [channels = 1, frames = 1, height = 1, width = 1] = rest;
    const ne = [width, height, channels, out];
    return Array.from({ length: frames }, (_, i) => ({ name: i === 0 ? name : `${name}.${i}`, ne }));
  }
  const ne = shape.length === 0 ? [1] : [...shape].reverse();
  if (name === 'v.patch_embd.weight' && shape.length === 2 && projector.type.startsWith('gemma4v')) {
    const side = Math.round(Math.sqrt((rest[0] ?? 0) / 3));
    return [{ name, ne: [side, side, 3, out] }];
  }
  if (name === 'v.class_embd') return [{ name, ne: [ne.reduce((a, b) => a * b, 1)] }];
  return [{ name, ne }];
}

function typeOf(name: string, ne: readonly number[], { stored, projector }: Conversion): GgmlType {
  const fixed = projector.fixed?.find(([pattern]) => pattern.test(name))?.[1];
  if (ne.length <= 1 || name.endsWith('_norm.weight')) return 'f32';
  if (fixed) return fixed;
  if (/\.patch_(?:embd|merger)\.weight/.test(name)) return stored === 'f16' ? 'f16' : 'f32';
  if (/^[va]\.position_embd/.test(name) || !name.endsWith('.weight')) return 'f32';
  return stored === 'q8_0' && (ne[0] ?? 1) % 32 !== 0 ? 'f16' : stored;
}

function vision({ config }: ModelSpec): JsonObject {
  return (config.vision ?? {}) as JsonObject;
}

interface Described {
  spec: ModelSpec;
  projector: Projector;
  tensors: readonly GgufTensor[];
  hasAudio: boolean;
}

/** Keys without their `clip.`; sizes that a configuration does not state are read off the tensors. */
function metadataOf({ spec, projector, tensors, hasAudio }: Described): Record<string, GgufValue> {
  const config = vision(spec);
  const first = (...keys: string[]): number | undefined => {
    const key = keys.find((name) => typeof config[name] === 'number');
    return key === undefined ? undefined : (config[key] as number);
  };
  const shapeOf = (name: RegExp): readonly number[] => tensors.find((tensor) => name.test(tensor.name))?.ne ?? [];
  const patch = shapeOf(/^v\.patch_embd\.weight$/);
  const blocks = new Set(tensors.flatMap(({ name }) => /^v\.blk\.(\d+)\./.exec(name)?.[1] ?? [])).size;
  const width = shapeOf(/^v\.blk\.0\.ln1\.weight$/)[0] ?? patch.at(-1) ?? 0;
  const patchSize = first('patchSize', 'spatialPatchSize') ?? 14;
  const unified = projector.type === 'gemma4uv';
  return {
    has_vision_encoder: true,
    ...(hasAudio ? { has_audio_encoder: true, 'audio.projector_type': projector.audio ?? '' } : {}),
    [hasAudio ? 'vision.projector_type' : 'projector_type']: projector.type,
    'vision.image_size': imageSize(spec, first, patchSize),
    'vision.patch_size': patchSize,
    'vision.embedding_length': unified ? (first('mmEmbedDim') ?? width) : width,
    'vision.feed_forward_length': shapeOf(/^v\.blk\.0\.ffn_(?:up|gate)\.weight$/)[1] ?? 0,
    'vision.block_count': blocks,
    'vision.attention.head_count': first('numAttentionHeads', 'numHeads', 'heads', 'vtNumAttentionHeads') ?? 16,
    'vision.projection_dim': spec.config.hiddenSize,
    ...scaleOf(spec, first),
    ...activationOf(projector, config),
    ...(projector.type === 'kimik25' ? { 'vision.image_max_pixels': mostPatches * patchSize ** 2 } : {}),
  };
}

/** in_patch_limit of Kimi's preprocessor. */
const mostPatches = 16384;

function activationOf({ activation }: Projector, { hiddenAct }: JsonObject): Record<string, GgufValue> {
  const stated = hiddenAct === 'silu' || hiddenAct === 'gelu' ? hiddenAct : undefined;
  const used = activation ?? stated ?? 'silu';
  return used === 'quick' ? {} : { [`use_${used}`]: true };
}

/** Side of the largest (or only) picture, in pixels. */
function imageSize(spec: ModelSpec, first: (...keys: string[]) => number | undefined, patchSize: number): number {
  const stated = first('imageSize');
  if (/^Gemma4/.test(spec.architecture)) return 224;
  if (stated !== undefined) return stated;
  if (/^Qwen3/.test(spec.architecture)) {
    return Math.trunc(Math.sqrt(first('numPositionEmbeddings') ?? 2304) * patchSize);
  }
  return first('initPosEmbHeight') === undefined ? 560 : first('initPosEmbHeight')! * patchSize;
}

/** How many patches of a side become one token, and where attention is windowed. */
function scaleOf(
  { architecture, config }: ModelSpec,
  first: (...keys: string[]) => number | undefined,
): Record<string, GgufValue> {
  const tower = (config.vision ?? {}) as JsonObject;
  const windows = tower.fullattBlockIndexes;
  const ratio = first('pixelShuffleRatio');
  const merged = tower.mergeKernelSize;
  const compression = tower.imgTokenCompressionConfig as JsonObject | undefined;
  const merge = first('spatialMergeSize') ?? config.spatialMergeSize ?? compression?.spatialMergeSize;
  return {
    ...(typeof merge === 'number' ? { 'vision.spatial_merge_size': merge } : {}),
    ...(ratio === undefined ? {} : { 'vision.projector.scale_factor': Math.trunc(1 / ratio) }),
    ...(architecture === 'InternVLChatModel' ? { 'vision.projector.scale_factor': 2 } : {}),
    ...(Array.isArray(merged) ? { 'vision.projector.scale_factor': Number(merged[0]) } : {}),
    ...(Array.isArray(windows) && windows.length > 0 ? { 'vision.n_wa_pattern': Number(windows[0]) + 1 } : {}),
    ...(first('numKeyValueHeads') === undefined || architecture !== 'Exaone4_5_ForConditionalGeneration'
      ? {}
      : { 'vision.attention.head_count_kv': first('numKeyValueHeads')! }),
  };
}
