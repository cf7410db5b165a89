// Bytes of the model's buffers: what is copied to each GPU, what stays a view of the mapped file, what is allocated on the host
// without mmap. Law: src/llama-model.cpp load_tensors, src/llama-model-loader.cpp get_mapping_range (the view reaches from the first
// to the last tensor used, in file order), ggml/src/gguf.cpp (tensors lie one after another, each at a multiple of 32 bytes).
import { type GgmlType, tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import { alignUp } from '../../units.ts';
import { allocatedBytes } from './allocation.ts';
import type { LlamaPlacement } from './placement.ts';
import type { LlamaRules } from './rules.ts';
import type { LlamaOptions, Place } from './types.ts';

interface BufferRules {
  'placement.gatherTypes': readonly GgmlType[];
  'placement.inputTensors': readonly string[];
}

/** general.alignment of a file that does not state one. */
const fileAlignment = 32;

export interface ModelBuffers {
  /** Bytes per GPU. */
  gpus: number[];
  /** View of the mapped file (CPU_Mapped). */
  mapped: number;
  /** Pinned and plain host memory, without mmap. */
  pinned: number;
  host: number;
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
}

const tables = new WeakMap<GgufModel, readonly SizedTensor[]>();

/** Sizes and file offsets, worked out once for a model. */
function sizedTensors(model: GgufModel): readonly SizedTensor[] {
  const known = tables.get(model);
  if (known) return known;
  let offset = 0;
  const table = model.tensors.map((tensor): SizedTensor => {
    const bytes = tensorBytes(tensor.type, tensor.ne);
    const entry = { tensor, bytes, onGpu: padded(tensor, bytes, 0), offset };
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
  const buffers: ModelBuffers = { gpus, mapped: 0, pinned: 0, host: 0, hostTensors: 0 };
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const { tensor, bytes, onGpu, offset } of sizedTensors(model)) {
    const places = placement.tensorPlaces(tensor);
    const tied = tensor.name === 'token_embd.weight' ? placement.tiedOutput : undefined;
    for (const place of tied === undefined || places.includes(tied) ? places : [...places, tied]) {
      if (place !== 'cpu') {
        gpus[place] = (gpus[place] ?? 0) + onGpu;
        continue;
      }
      first = Math.min(first, offset);
      last = Math.max(last, offset + bytes);
      buffers.hostTensors += bytes;
      if (!options.noMmap) continue;
      buffers[count > 0 && isPinned(tensor, law) ? 'pinned' : 'host'] += padded(tensor, bytes, 'cpu');
    }
  }
  if (!options.noMmap && last > 0) buffers.mapped = last - first;
  return buffers;
}

/** Host tensors are pinned where the first GPU could compute with them: it multiplies with every type, but gathers rows of few. */
function isPinned({ name, type }: GgufTensor, law: BufferRules): boolean {
  const gathered = law['placement.inputTensors'].includes(name.slice(0, name.indexOf('.')));
  return !gathered || law['placement.gatherTypes'].includes(type);
}
