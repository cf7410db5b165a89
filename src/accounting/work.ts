// What one forward pass has to move and to compute on one tensor-parallel rank, as sums over the tensor list and the cache
// list: weight bytes and multiply-adds by kind, cache bytes and attention work per token of context, recurrent state. Shapes only: which
// share of it a step needs, and what a kernel makes of it, is for a time model to say. Figures for timing, not bytes held: engines pad
// and re-lay weights (engines/<id>), which moves these sums by a percent or so.
import type { Architecture, CacheLayout, TensorGroup } from '../architecture/types.ts';
import type { Dtype, ModelSpec } from '../spec/model.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';
import { stateTensors } from './state.ts';
import { shardShare } from './work-shard.ts';
import { isStoredQuantized, quantizedBytesPerValue } from './work-weights.ts';

interface ForwardWorkInput {
  spec: Pick<ModelSpec, 'config'>;
  architecture: Architecture;
  scheme?: QuantizationScheme | undefined;
  dtype: Dtype;
  /** Resolved dtype of the KV cache: bfloat16, float16, float32, fp8, fp8_e5m2, nvfp4, ... */
  kvCacheDtype: string;
  tensorParallelSize: number;
}

/** Matrices that every token goes through. */
export interface MatrixWork {
  /** Bytes read once per pass, however many tokens it has. */
  bytes: number;
  /** Multiply-adds per token, apart by whether the weight is stored quantized. */
  plainParameters: number;
  quantizedParameters: number;
}

/** Routed experts of alike layers. Not divided: how tensor, data and expert parallelism split them is the time model's matter. */
interface ExpertWork {
  layers: number;
  experts: number;
  perToken: number;
  bytesPerExpert: number;
  parametersPerExpert: number;
  quantized: boolean;
}

/** Attention of alike layers, on one rank. FLOPs are per query token and token of context. */
export interface AttentionWork {
  layers: number;
  /** The most tokens of context that a query reads; absent: all. */
  span?: number;
  /** The context starts anew at every multiple of span. */
  chunked?: boolean;
  /** Decode has a kernel of its own, whatever else is in the batch. */
  ownDecode?: boolean;
  bytesPerToken: number;
  prefillFlops: number;
  decodeFlops: number;
}

export interface ForwardWork {
  layers: number;
  /** Layers with routed experts. */
  expertLayers: number;
  vocabSize: number;
  dense: MatrixWork;
  head: MatrixWork;
  experts: readonly ExpertWork[];
  attention: readonly AttentionWork[];
  /** Recurrent state of one sequence, read and written per token of decode, or once per chunk of prefill. */
  stateBytes: number;
  /** Multiply-adds of the recurrences per token. */
  stateParameters: number;
  /** Bytes per token that norms, rotary embeddings, activations and cache writes move, over all layers. */
  elementwiseBytes: number;
  /** KV cache bytes of one token of context, over all layers. */
  kvBytesPerToken: number;
  /** Bytes of one hidden state: what ranks exchange per token. */
  hiddenBytes: number;
}

const dtypeBytes: Readonly<Record<Dtype, number>> = { float32: 4, float16: 2, bfloat16: 2 };

export function forwardWork(input: ForwardWorkInput): ForwardWork {
  const { architecture, spec, dtype } = input;
  const bytes = dtypeBytes[dtype];
  const { forward } = architecture;
  const layers = architecture.caches.reduce((most, { layer }) => Math.max(most, layer + 1), spec.config.layers ?? 0);
  const matrices = matrixWork(input, bytes);
  const attention = attentionWork(input);
  const { stateBytes, stateParameters } = stateWork(input, bytes);
  return {
    layers,
    expertLayers: matrices.experts.reduce((total, group) => total + group.layers, 0),
    vocabSize: forward.vocabSize,
    ...matrices,
    attention,
    stateBytes,
    stateParameters,
    elementwiseBytes: layers * elementwiseValues(input) * bytes,
    kvBytesPerToken: attention.reduce((total, group) => total + group.layers * group.bytesPerToken, 0),
    hiddenBytes: forward.hiddenSize * bytes,
  };
}

function matrixWork(input: ForwardWorkInput, bytes: number): Pick<ForwardWork, 'dense' | 'head' | 'experts'> {
  const { architecture, tensorParallelSize: tp } = input;
  const dense = emptyMatrix();
  const head = emptyMatrix();
  const expertsByLayer = new Map<number, ExpertWork>();
  for (const group of architecture.tensors) {
    if (group.part !== 'text' || group.unloaded || group.buffer || group.derived) continue;
    const values = group.shape.reduce((a, b) => a * b, 1);
    if (group.experts !== undefined) {
      addExperts(expertsByLayer, group, values, input, bytes);
      continue;
    }
    const count = group.layers?.length ?? 1;
    const share = shardShare(group.shard, group.shape[0]!, tp) * values * count;
    if (group.role === 'position-embedding') continue;
    if (group.role === 'embedding') {
      if (architecture.tied && isTokenTable(group, architecture))
        addMatrix(head, share, { bytes, matrix: true, quantized: false });
      continue;
    }
    const quantized = isStoredQuantized(group, input.scheme, architecture.forward.moe !== undefined);
    addMatrix(group.role === 'lm-head' ? head : dense, share, {
      bytes: quantized ? quantizedBytesPerValue(input.scheme!) : bytes,
      matrix: group.shape.length > 1,
      quantized,
    });
  }
  return { dense, head, experts: groupExperts(expertsByLayer) };
}

function isTokenTable(group: TensorGroup, { forward }: Architecture): boolean {
  return group.layers === undefined && group.shape[0] === forward.vocabSize;
}

function emptyMatrix(): MatrixWork {
  return { bytes: 0, plainParameters: 0, quantizedParameters: 0 };
}

function addMatrix(
  into: MatrixWork,
  values: number,
  { bytes, matrix, quantized }: { bytes: number; matrix: boolean; quantized: boolean },
): void {
  into.bytes += values * bytes;
  if (!matrix) return;
  if (quantized) into.quantizedParameters += values;
  else into.plainParameters += values;
}

function addExperts(
  byLayer: Map<number, ExpertWork>,
  group: TensorGroup,
  values: number,
  { scheme, architecture }: ForwardWorkInput,
  bytes: number,
): void {
  const perToken = architecture.forward.moe?.topK ?? 1;
  const quantized = isStoredQuantized(group, scheme, true);
  for (const layer of group.layers ?? [0]) {
    const entry = byLayer.get(layer);
    const stored = values * (quantized ? quantizedBytesPerValue(scheme!, 'experts') : bytes);
    const parameters = group.shape.length > 1 ? values : 0;
    if (entry) {
      entry.bytesPerExpert += stored;
      entry.parametersPerExpert += parameters;
    } else {
      byLayer.set(layer, {
        layers: 1,
        experts: group.experts!,
        perToken,
        bytesPerExpert: stored,
        parametersPerExpert: parameters,
        quantized,
      });
    }
  }
}

function groupExperts(byLayer: Map<number, ExpertWork>): ExpertWork[] {
  const groups = new Map<string, ExpertWork>();
  for (const entry of byLayer.values()) {
    const key = `${entry.experts}/${entry.bytesPerExpert}/${entry.parametersPerExpert}`;
    const same = groups.get(key);
    if (same) same.layers += 1;
    else groups.set(key, { ...entry });
  }
  return [...groups.values()];
}

/** Layers that read alike are one entry; a layer that shares another's cache reads it as its own. */
function attentionWork(input: ForwardWorkInput): AttentionWork[] {
  const { architecture } = input;
  const byLayer = new Map(architecture.caches.map((entry) => [entry.layer, entry.caches]));
  const groups = new Map<string, AttentionWork>();
  for (const { caches, sharedWith } of architecture.caches) {
    for (const cache of sharedWith === undefined ? caches : (byLayer.get(sharedWith) ?? caches)) {
      const entry = attentionOf(cache, input);
      if (!entry) continue;
      const key = JSON.stringify(entry);
      const same = groups.get(key);
      if (same) same.layers += 1;
      else groups.set(key, entry);
    }
  }
  return [...groups.values()];
}

/**
 * One layer. K and V of all KV heads of the rank are read per token of context; every query head takes 2 FLOPs per value for the
 * scores and 2 for the output. A latent is read once for keys and values: as it is in decode (absorbed), expanded in prefill.
 */
function attentionOf(
  cache: CacheLayout,
  { spec, kvCacheDtype, tensorParallelSize: tp }: ForwardWorkInput,
): AttentionWork | undefined {
  const { config } = spec;
  const width = kvBytesPerValue(kvCacheDtype);
  const heads = Math.max(1, config.heads / tp);
  switch (cache.kind) {
    case 'full':
    case 'sliding':
    case 'chunked': {
      const values = cache.headDim + (cache.valueHeadDim ?? cache.headDim);
      const flops = 2 * heads * values;
      return {
        layers: 1,
        bytesPerToken: Math.max(1, cache.kvHeads / tp) * values * width,
        prefillFlops: flops,
        decodeFlops: flops,
        ...(cache.kind === 'sliding' ? { span: cache.window + (cache.inclusive ? 1 : 0) } : {}),
        ...(cache.kind === 'chunked' ? { span: cache.chunk, chunked: true } : {}),
      };
    }
    case 'mla': {
      const head = numberOf(config.qkNopeHeadDim, 128) + cache.ropeDim + numberOf(config.vHeadDim, 128);
      return {
        layers: 1,
        bytesPerToken: cache.latentDim * width,
        prefillFlops: 2 * heads * head,
        decodeFlops: 2 * heads * (cache.latentDim + cache.kvLoraRank),
        ownDecode: true,
        ...(cache.sparse ? { span: numberOf(config.indexTopk, 2048) } : {}),
      };
    }
    case 'indexer': {
      const flops = 2 * numberOf(config.indexNHeads, 64) * cache.headDim;
      return {
        layers: 1,
        bytesPerToken: cache.headDim * (cache.plain ? 2 : 1),
        prefillFlops: flops,
        decodeFlops: flops,
        ownDecode: true,
      };
    }
    default:
      return undefined;
  }
}

/** State is split by tensor parallelism whole heads at a time; for time an even share is near enough. */
function stateWork(
  { architecture, tensorParallelSize: tp }: ForwardWorkInput,
  bytes: number,
): { stateBytes: number; stateParameters: number } {
  let stateBytes = 0;
  let stateParameters = 0;
  for (const { caches } of architecture.caches) {
    for (const cache of caches) {
      if (cache.kind !== 'state') continue;
      for (const { dtype, shape } of stateTensors(cache.state, { tensorParallelSize: 1 })) {
        const values = shape.reduce((a, b) => a * b, 1) / tp;
        stateBytes += values * bytes;
        // Decay, update and read-out: three multiply-adds per value of the scan's state.
        stateParameters += dtype === 'ssm' ? 3 * values : values;
      }
    }
  }
  return { stateBytes, stateParameters };
}

/**
 * Values per token and layer that kernels between the matrix products read or write: two norms with their residual (8 hidden),
 * rotary embedding in place (2 x (q + kv)), the activation of the MLP (gate and up in, product out), K and V into the cache.
 */
function elementwiseValues({ architecture, tensorParallelSize: tp }: ForwardWorkInput): number {
  const { forward } = architecture;
  const { hiddenSize, queryDim, kvDim, moe } = forward;
  const active = moe ? moe.topK * moe.intermediateSize + moe.sharedIntermediateSize : 0;
  const inner = moe && forward.intermediateSize === 0 ? active : Math.max(forward.intermediateSize, active);
  const routed = moe ? 3 * moe.topK * hiddenSize : 0;
  return 8 * hiddenSize + (2 * (queryDim + kvDim) + 2 * kvDim + (forward.gatedMlp ? 3 : 2) * inner + routed) / tp;
}

function kvBytesPerValue(kvCacheDtype: string): number {
  if (/^(fp8|int8|uint8)/.test(kvCacheDtype)) return 1;
  if (kvCacheDtype.startsWith('nvfp4')) return 0.5 + 1 / 16;
  return kvCacheDtype === 'float32' ? 4 : 2;
}

function numberOf(value: unknown, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}
