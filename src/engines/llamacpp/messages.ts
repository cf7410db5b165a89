// The lines that llama.cpp prints while it loads, as far as they carry figures. Law: src/llama-model.cpp, src/llama-kv-cache.cpp,
// src/llama-memory-recurrent.cpp, src/llama-context.cpp (LLAMA_LOG_INFO).
import { printedMiB } from '../../numbers.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import { cacheTotals } from './kv.ts';
import type { LlamaLoad } from './load.ts';
import type { LlamaRequest } from './request.ts';

const backends: Partial<Record<GpuSpec['vendor'], string>> = {
  nvidia: 'CUDA',
  amd: 'ROCm',
  apple: 'MTL',
  intel: 'SYCL',
};

/** Of the model, then of what is loaded beside it; not of a draft that has a context for each slot, which all print theirs. */
export function allLines(request: LlamaRequest, load: LlamaLoad): string[] {
  const { draft, projector } = load;
  const ofDraft = draft && draft.contexts === 1 ? loadLines(request, draft) : [];
  const backend = backends[request.gpus[0]?.vendor ?? 'nvidia'] ?? 'GPU';
  const where = projector && placeOf(projector.place, backend);
  return [
    ...loadLines(request, load),
    ...ofDraft.filter((line) => !(draft?.ownBlocks && line.startsWith('load_tensors'))),
    ...(projector
      ? [`reserve_compute_meta: ${where} compute buffer size = ${printedMiB(projector.computeBytes)} MiB`]
      : []),
  ];
}

export function loadLines({ gpus }: LlamaRequest, load: LlamaLoad): string[] {
  const backend = backends[gpus[0]?.vendor ?? 'nvidia'] ?? 'GPU';
  const { bytes, context, caches, compute, placement } = load;
  const layers = placement.layers.length;
  const lines = [
    `load_tensors: offloaded ${Math.min(placement.gpuLayers, layers)}/${layers} layers to GPU`,
    ...sizes('load_tensors', 'model buffer', bytes.model, backend),
    `llama_context: n_ctx = ${context.nCtx}, n_ctx_seq = ${context.nCtxSeq}, n_batch = ${context.nBatch}, n_ubatch = ${context.nUbatch}, flash_attn = ${context.flashAttn ? 1 : 0}, kv_unified = ${context.kvUnified}`,
    ...sizes('llama_context', 'output buffer', bytes.output, backend),
    ...sizes('llama_kv_cache', 'KV buffer', bytes.kv, backend),
  ];
  for (const cache of caches) {
    if (cache.layers.length === 0) continue;
    const { keyBytes, valueBytes } = cacheTotals(cache);
    const total = keyBytes + valueBytes;
    lines.push(
      cache.kind === 'recurrent'
        ? `llama_memory_recurrent: size = ${printedMiB(total)} MiB (${cells(cache.cells)} cells, ${cache.layers.length} layers, ${context.nSeqMax} seqs), R (f32): ${printedMiB(keyBytes)} MiB, S (f32): ${printedMiB(valueBytes)} MiB`
        : `llama_kv_cache: size = ${printedMiB(total)} MiB (${cells(cache.cells)} cells, ${cache.layers.length} layers, ${context.nSeqMax}/${cache.streams} seqs), K (${context.typeK}): ${printedMiB(keyBytes)} MiB, V (${context.typeV}): ${printedMiB(valueBytes)} MiB`,
    );
  }
  lines.push(...sizes('llama_memory_recurrent', 'RS buffer', bytes.rs, backend));
  lines.push(...sizes('sched_reserve', 'compute buffer', bytes.compute, backend));
  lines.push(`sched_reserve: graph nodes = ${compute.nodes}`);
  return lines;
}

function sizes(who: string, what: string, places: Record<string, number>, backend: string): string[] {
  return Object.entries(places).map(
    ([place, n]) => `${who}: ${placeOf(place, backend)} ${what} size = ${printedMiB(n)} MiB`,
  );
}

function placeOf(place: string, backend: string): string {
  if (place.startsWith('gpu')) return `${backend}${place.slice(3)}`;
  return { pinned: `${backend}_Host`, mapped: 'CPU_Mapped', repack: 'CPU_REPACK' }[place] ?? 'CPU';
}

function cells(count: number): string {
  return String(count);
}
