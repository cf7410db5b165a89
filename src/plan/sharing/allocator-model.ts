// What one model allocates on one GPU, as the allocator view replays it: the tensors that vLLM builds on that rank, in the order in which
// its modules are constructed (qkv and gate_up are one tensor each), one KV tensor a layer, and the large temporaries of steps of
// several sizes. Tensors are exact where the weight plan is; the temporaries are an estimate: their shapes follow from the model,
// when each is freed within a step does not.
import type { Architecture } from '../../architecture/types.ts';
import { architectureOf } from '../../engines/vllm/memo.ts';
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { dtypeBytes } from '../../engines/vllm/resolved.ts';
import { deviceTensors } from '../../engines/vllm/weights/index.ts';
import { divCeil, divFloor } from '../../units.ts';
import type { PlanRequest } from '../request.ts';
import type { AllocatorModel } from './allocator.ts';

interface AllocatorModelInput {
  id: string;
  request: PlanRequest;
  planned: VllmPlanned;
  /** KV cache on this GPU; rounded down to whole blocks. */
  kvBytes: number;
  /** Place in the engine's own ranks. Default 0. */
  rank?: number;
}

export function allocatorModel({ id, request, planned, kvBytes, rank = 0 }: AllocatorModelInput): AllocatorModel {
  const { spec, scheme, profile, draft, gpus } = request;
  const { architecture, resolved } = planned;
  const tp = resolved.tensorParallelSize;
  const stage = divFloor(rank, tp);
  const tensors = deviceTensors({
    spec,
    architecture,
    ...(scheme ? { scheme } : {}),
    profile,
    gpu: gpus[rank] ?? gpus[0]!,
    options: resolved,
    place: { stage, tensorRank: resolved.enableExpertParallel ? rank % tp : 0 },
    ...(draft ? { draft: { ...draft, architecture: architectureOf(draft.spec) } } : {}),
  });
  return {
    id,
    tensors: tensors.map(({ bytes }) => ({ bytes })),
    kvTensors: kvTensors(planned, kvBytes, rank),
    steps: stepTokens(resolved.maxNumBatchedTokens).map((tokens) =>
      workspaces(architecture, { tokens, tp, sequences: resolved.maxNumSeqs, valueBytes: dtypeBytes[resolved.dtype] }),
    ),
  };
}

/** Whole blocks in so many bytes on that rank, one tensor a layer (K and V together, as vLLM allocates them). */
export function kvTensors({ kv, resolved }: VllmPlanned, bytes: number, rank = 0): number[] {
  const stage = divFloor(rank, resolved.tensorParallelSize);
  const layers = Math.max(1, ...kv.groups.map((group) => group.stages[stage]?.layers ?? group.layers));
  const blockBytes = kv.stageBytesPerBlock[stage] ?? kv.bytesPerBlock;
  const blocks = blockBytes > 0 ? divFloor(bytes, blockBytes) : 0;
  return blocks > 0 ? Array.from({ length: layers }, () => divFloor(blocks * blockBytes, layers)) : [];
}

/** The full budget first, as the profile run takes it, then steps of several sizes as traffic brings them. */
function stepTokens(budget: number): number[] {
  const shares = [1, 0.35, 0.06, 0.8, 0.01, 0.55];
  return shares.map((share) => Math.max(1, Math.floor(budget * share)));
}

interface Step {
  tokens: number;
  tp: number;
  sequences: number;
  valueBytes: number;
}

/** Hidden states and residual, qkv, attention output, gate and up, their product; then the logits in float32. */
function workspaces({ forward }: Architecture, { tokens, tp, sequences, valueBytes }: Step): number[] {
  const { hiddenSize, queryDim, kvDim, intermediateSize, gatedMlp, moe, vocabSize } = forward;
  const experts = moe ? (moe.intermediateSize * moe.topK) / tp : 0;
  const inner = Math.max(intermediateSize / tp, experts);
  const widths = [
    hiddenSize,
    hiddenSize,
    (queryDim + 2 * kvDim) / tp,
    queryDim / tp,
    (gatedMlp ? 2 : 1) * inner,
    inner,
  ];
  const rows = widths.map((width) => Math.ceil(width * tokens) * valueBytes);
  return [...rows, Math.min(tokens, sequences) * divCeil(vocabSize, tp) * 4].filter((bytes) => bytes > 0);
}
