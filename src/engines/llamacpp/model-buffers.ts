// Bytes of the model's buffers: what is copied to each GPU, what stays a view of the mapped file, what is allocated on the host.
// Law: src/llama-model.cpp load_tensors, src/llama-model-loader.cpp get_mapping_range (the view reaches from the first to the last
// tensor used, in file order), ggml/src/gguf.cpp (tensors lie one after another, each at a multiple of 32 bytes).
import { type GgmlType, ggmlTypes, rowBytes, tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import { alignUp, sum } from '../../units.ts';
import { allocatedBytes, paddedBytes } from './allocation.ts';
import type { LlamaPlacement } from './placement.ts';
import type { LlamaRules } from './rules.ts';
import type { LlamaOptions, Place } from './types.ts';

interface BufferRules {
  'placement.gatherTypes': readonly GgmlType[];
  'placement.inputTensors': readonly string[];
  'placement.repackTypes': Readonly<Partial<Record<GgmlType, number>>>;
  'placement.repackBesideGpu': boolean;
}

/** general.alignment of a file that does not state one. */
const fileAlignment = 32;
/** Rows of one tile of the CUDA backend: a split by rows ends at multiples (compute capability 7 and later). */
const tileRows = 128;

export interface ModelBuffers {
  /** Bytes per GPU, slices of matrices split by rows included. */
  gpus: number[];
  /** View of the mapped file (CPU_Mapped). */
  mapped: number;
  /** Pinned and plain host memory, without mmap. */
  pinned: number;
  host: number;
  /** Matrices rearranged for the CPU (CPU_REPACK, CPU_AARCH64), beside the mapped file. */
  repack: number;
  /** Bytes of tensors that only the host has, without the file's gaps. */
  hostTensors: number;
}

interface SizedTensor {
  tensor: GgufTensor;
  bytes: number;
  /** Bytes in a GPU's buffer. */
  onGpu: number;
  /** Byte offset in the file's data part. */
  offset: number;
  /** Name up to the first dot. */
  stem: string;
}

const tables = new WeakMap<GgufModel, readonly SizedTensor[]>();

/** Sizes and file offsets, worked out once for a model. */
function sizedTensors(model: GgufModel): readonly SizedTensor[] {
  const known = tables.get(model);
  if (known) return known;
  let offset = 0;
  const table = model.tensors.map((tensor): SizedTensor => {
    const bytes = tensorBytes(tensor.type, tensor.ne);
    const onGpu = padded(tensor, bytes, 0);
    const entry = { tensor, bytes, onGpu, offset, stem: tensor.name.slice(0, tensor.name.indexOf('.')) };
    offset = alignUp(offset + bytes, fileAlignment);
    return entry;
  });
  tables.set(model, table);
  return table;
}

function padded({ type, ne }: GgufTensor, bytes: number, place: Place): number {
  return allocatedBytes({ type, rowLength: ne[0] ?? 1, bytes, place });
}

export interface ModelBufferInput {
  model: GgufModel;
  placement: LlamaPlacement;
  /** Number of GPUs of the machine. */
  gpus: number;
  options: Pick<LlamaOptions, 'noMmap'>;
  rules: LlamaRules;
}

/** The model's buffers, exact to the byte for a file in one part whose tensors lie in the order given. */
export function modelBuffers({ model, placement, gpus: count, options, rules }: ModelBufferInput): ModelBuffers {
  const law = rules as unknown as BufferRules;
  const gpus = Array.from({ length: count }, () => 0);
  const buffers: ModelBuffers = { gpus, mapped: 0, pinned: 0, host: 0, repack: 0, hostTensors: 0 };
  const repacks = count === 0 || law['placement.repackBesideGpu'];
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const sized of sizedTensors(model)) {
    const { tensor, bytes, onGpu, offset } = sized;
    const places = placement.tensorPlaces(tensor);
    const tied = tensor.name === 'token_embd.weight' ? placement.tiedOutput : undefined;
    const copied = tied !== undefined && (placement.tiedTwice || !places.includes(tied));
    for (const place of copied ? [...places, tied] : places) {
      if (place !== 'cpu') {
        const slices = placement.rowShares && rowSlices(sized, placement.rowShares, law);
        if (slices) for (const [i, slice] of slices.entries()) gpus[i] = (gpus[i] ?? 0) + slice;
        else gpus[place] = (gpus[place] ?? 0) + onGpu;
        continue;
      }
      buffers.hostTensors += bytes;
      if (repacks && isRepacked(sized, law)) {
        buffers.repack += padded(tensor, bytes, 'cpu');
        continue;
      }
      first = Math.min(first, offset);
      last = Math.max(last, offset + bytes);
      if (!options.noMmap) continue;
      buffers[count > 0 && isPinned(sized, law) ? 'pinned' : 'host'] += padded(tensor, bytes, 'cpu');
    }
  }
  if (!options.noMmap && last > 0) buffers.mapped = last - first;
  return buffers;
}

/** Host tensors are pinned where the first GPU could compute with them: it multiplies with every type, but gathers rows of few. */
function isPinned({ tensor, stem }: SizedTensor, law: BufferRules): boolean {
  return !law['placement.inputTensors'].includes(stem) || law['placement.gatherTypes'].includes(tensor.type);
}

/** A host tensor that the CPU keeps rearranged although there are GPUs: these cannot read it. */
export function isRepackedBesideGpu(tensor: GgufTensor, rules: LlamaRules): boolean {
  const law = rules as unknown as BufferRules;
  const stem = tensor.name.slice(0, tensor.name.indexOf('.'));
  return law['placement.repackBesideGpu'] && isRepacked({ tensor, stem }, law);
}

/** A matrix, or the experts' matrices, whose rows are a multiple of what the CPU's kernel takes at once. */
function isRepacked({ tensor, stem }: Pick<SizedTensor, 'tensor' | 'stem'>, law: BufferRules): boolean {
  const multiple = law['placement.repackTypes'][tensor.type];
  if (multiple === undefined || law['placement.inputTensors'].includes(stem)) return false;
  return tensor.ne.length >= 2 && (tensor.ne[1] ?? 1) % multiple === 0;
}

/** --split-mode row: rows of a matrix by the devices' shares, whole tiles each; undefined: the tensor stays whole. */
function rowSlices({ tensor, stem }: SizedTensor, shares: readonly number[], law: BufferRules): number[] | undefined {
  const { type, ne } = tensor;
  const [length = 1, rows = 1, ...more] = ne;
  if (ne.length < 2 || more.some((n) => n > 1) || law['placement.inputTensors'].includes(stem)) return undefined;
  if (!isMultiplied(tensor)) return undefined;
  const bounds = shares.map((_, i) => Math.floor(Math.fround(rows * sum(shares.slice(0, i)))));
  const lows = bounds.map((bound) => bound - (bound % tileRows));
  const counts = lows.map((low, i) => (lows[i + 1] ?? rows) - low);
  // A GPU without a row cannot compute with it: the tensor is then not split.
  if (counts.some((n) => n === 0)) return undefined;
  return counts.map((n) => paddedBytes({ type, rowLength: length, bytes: rowBytes(type, length) * n }));
}

/** Convolutions have two dimensions as well, but are no matrices of a multiplication. */
function isMultiplied({ name, type }: GgufTensor): boolean {
  return ggmlTypes[type].block > 1 || !/conv|ssm_a$|norm|time_mix_(?:lerp|first|decay)/.test(name);
}
