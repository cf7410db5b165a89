// What the CUDA backend can run and what its buffers need: operations it lacks, batches worth moving to it, and the scratch that
// flash attention keeps behind its result. Law: ggml/src/ggml-cuda/ggml-cuda.cu, fattn.cu; compute capability 8.9 where it matters.
import { type GgmlType, ggmlTypes, isQuantized } from '../../../spec/ggml-types.ts';
import { takesHeads, takesTypes } from '../flash-attention.ts';
import type { CudaRules, FlashRules } from './rules.ts';
import { elements, type GraphTensor, hasContiguousRows, isContiguous, tensorSpan } from './tensor.ts';

/** Smallest batch for which a host weight's operation is worth moving to a GPU (op_offload_min_batch_size). */
const offloadBatch = 32;

/** Keys per block of the flash attention kernels (FATTN_KQ_STRIDE). */
const keyStride = 256;

/** Whether a GPU takes over an operation whose weight lies in host memory. */
export function offloads(t: GraphTensor): boolean {
  switch (t.op) {
    case 'get_rows':
      return false;
    case 'mul_mat':
      return t.ne[1] >= offloadBatch;
    case 'mul_mat_id':
    case 'rope':
    case 'rope_back':
      return t.ne[2] >= offloadBatch;
    default:
      return t.ne[1] * t.ne[2] * t.ne[3] >= offloadBatch;
  }
}

/** Whether the GPU's backend can run the operation. Data of another GPU is out of its reach. */
export function cudaSupports(t: GraphTensor, device: number, rules: CudaRules): boolean {
  for (const source of t.src) {
    const { place } = source;
    if (typeof place === 'number' && place !== device) return false;
  }
  switch (t.op) {
    case 'unary':
      return isContiguous(t.src[0]!) && !rules.lacksUnary.includes(t.variant!);
    case 'glu':
      return isContiguous(t.src[0]!, 1);
    case 'mul_mat':
    case 'mul_mat_id':
      return !rules.notMultiplied.includes(t.src[0]!.type) && multiplies(t);
    case 'get_rows':
      return looksUp(t.src[0]!, rules);
    case 'norm':
    case 'rms_norm':
    case 'l2_norm':
    case 'sum_rows':
    case 'mean':
      return hasContiguousRows(t.src[0]!);
    case 'group_norm':
    case 'roll':
      return isContiguous(t.src[0]!);
    case 'im2col':
      return isContiguous(t.src[0]!) && isContiguous(t.src[1]!);
    case 'rope':
    case 'rope_back':
      return isContiguous(t.src[0]!, 2);
    case 'flash_attn_ext':
      return flashAttentionRuns(t, rules.flash);
    case 'lightning_indexer':
      return scoresTokens(t.src[0]!.ne[1], t.src[0]!.ne[0]);
    case 'ssm_scan':
      return t.variant === 'all' || (t.variant !== 'none' && scans(t));
    case 'ssm_conv':
      return t.variant === 'all' || (t.variant !== 'none' && t.src[0]!.ne[1] % 128 === 0);
    case 'custom':
      return false;
    default:
      return true;
  }
}

/** Rows of a table. Types of blocks of 32 are read 256 values at a time. */
function looksUp(table: GraphTensor, { rowLookups }: CudaRules): boolean {
  if (rowLookups) return rowLookups.includes(table.type);
  if (table.type === 'iq4_nl' || table.type === 'mxfp4') return table.ne[0] % 256 === 0;
  return !noRowLookup.has(table.type);
}

const noRowLookup: ReadonlySet<string> = new Set([
  'nvfp4',
  'tq1_0',
  'tq2_0',
  'i8',
  'i16',
  'i64',
  'f64',
  'q8_1',
  'q8_k',
]);

function multiplies(t: GraphTensor): boolean {
  const [a, b] = t.src as [GraphTensor, GraphTensor];
  if (t.op === 'mul_mat_id' && t.variant === 'f32') return false;
  if (a.nb[0] !== ggmlTypes[a.type].bytes || b.nb[0] !== ggmlTypes[b.type].bytes) return false;
  return b.type !== 'f16' || a.type === 'f16';
}

/** Heads and their size for which the indexer's kernel exists. */
export const scoresTokens = (heads: number, length: number): boolean =>
  length === 128 && (heads === 32 || heads === 64);

/** The selective scan's kernels: Mamba-2 with states of 128 or 256, Mamba with states of 16. */
function scans(t: GraphTensor): boolean {
  const state = t.src[0]!;
  if (t.src[3]!.ne[0] === 1) return (state.ne[0] === 128 || state.ne[0] === 256) && state.ne[1] % 16 === 0;
  return state.ne[0] === 16 && state.ne[1] === 1 && state.ne[2] % 128 === 0 && t.src[4]!.ne[1] === 1;
}

/** The kernels' grouped-query optimisation: all queries of a KV head share one reading of its keys. */
function groupsQueries(t: GraphTensor): boolean {
  const [q, k, v, mask] = t.src as [GraphTensor, GraphTensor, GraphTensor, GraphTensor | undefined];
  if (q.ne[2] / k.ne[2] < 2 || !mask || t.variant === 'alibi' || k.ne[1] % keyStride !== 0) return false;
  return [q, k, v, mask].every(
    (s) => isQuantized(s.type) || (s.nb[1] % 16 === 0 && s.nb[2] % 16 === 0 && s.nb[3] % 16 === 0),
  );
}

/** Whether a kernel exists for these heads and types. */
export function flashAttentionRuns(t: GraphTensor, rules: FlashRules): boolean {
  const [q, k, v] = t.src as [GraphTensor, GraphTensor, GraphTensor];
  const x = { key: k.ne[0], value: v.ne[0], group: Math.floor(q.ne[2] / k.ne[2]) };
  if (!takesHeads(rules.heads, x)) return false;
  const special = rules.heads.other.some(({ key, value }) => key === x.key && value === x.value);
  if (special && !groupsQueries(t)) return false;
  if (!rules.streams && q.ne[3] !== 1) return false;
  if (!rules.byHead) return takesTypes(rules.types, { typeK: k.type, typeV: v.type });
  // Of unequal heads b5640 asks for no types.
  if (special) return true;
  const { keys, values } = rules.byHead.find(({ heads }) => heads.includes(q.ne[0])) ?? halves;
  return keys.includes(k.type) && values.includes(v.type);
}

const halves: { keys: readonly GgmlType[]; values: readonly GgmlType[] } = { keys: ['f16'], values: ['f16'] };

/** Small batches run in the vector kernel, which reads quantized keys and values directly. */
function runsVectorKernel(t: GraphTensor, { vectorHeads = Number.POSITIVE_INFINITY }: FlashRules): boolean {
  const [q, k, v] = t.src as [GraphTensor, GraphTensor, GraphTensor];
  const size = q.ne[0];
  if (size > 256 || size % 64 !== 0 || size === 192 || k.ne[1] % keyStride !== 0) return false;
  const batch = q.ne[1];
  const quantized = isQuantized(k.type) || isQuantized(v.type);
  if (quantized && batch <= 2) return true;
  const group = q.ne[2] / k.ne[2];
  const many = group > 4 && (size >= vectorHeads || k.ne[1] >= 8192);
  if (!quantized && batch === 1 && q.ne[3] === 1 && !many) return true;
  return batch === 1 && !groupsQueries(t);
}

/** Types that released builds have a vector kernel for, K and V alike (GGML_CUDA_FA_QUANTS); F32 is read as F16. */
const vectorTypes: readonly GgmlType[] = ['f16', 'bf16', 'q4_0', 'q8_0'];

function readsDirectly(typeK: GgmlType, typeV: GgmlType): boolean {
  const half = (type: GgmlType) => (type === 'f32' ? 'f16' : type);
  return half(typeK) === half(typeV) && vectorTypes.includes(half(typeK));
}

export type Flash = FlashRules;

/**
 * Bytes of a flash attention result on a GPU: what it holds, and F16 copies of K and V for kernels that read nothing else.
 */
export function flashAttentionBytes(t: GraphTensor, rules: FlashRules): number {
  let end = tensorSpan(t);
  if (!rules.f16Copies) return end;
  const [, k, v] = t.src as [GraphTensor, GraphTensor, GraphTensor];
  const vector = runsVectorKernel(t, rules) && readsDirectly(k.type, v.type);
  const needed = (s: GraphTensor) => (vector ? s.type === 'f32' : s.type !== 'f16');
  const shared = v.viewSrc && (v.viewSrc === k || (v.viewSrc === k.viewSrc && v.viewOffset === k.viewOffset));
  const copy = (s: GraphTensor) => {
    end = Math.ceil(end / 128) * 128 + elements(s) * 2;
  };
  if (needed(k)) copy(k);
  if (needed(v) && !(shared && needed(k))) copy(v);
  return end;
}
