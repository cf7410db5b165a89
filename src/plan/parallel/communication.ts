// What a rank sends to the others for every generated token, by counting vLLM's collectives: a sum after every row-parallel layer
// (Megatron-LM, arXiv:1909.08053, 3), hidden states between stages, tokens brought to experts, queries and outputs of shared
// sequences. Collectives are taken as rings (Patarasuk and Yuan 2009): an all-reduce over t ranks sends 2 (t - 1) / t of its message,
// an all-gather or reduce-scatter (t - 1) / t of the whole. Other algorithms move as much or more; quantized transport is not counted.
import { attentionSizes } from '../../architecture/build.ts';
import type { Architecture, TensorGroup } from '../../architecture/types.ts';
import type { Profile } from '../../engines/vllm/profile.ts';
import { dtypeBytes, type ResolvedOptions } from '../../engines/vllm/resolved.ts';
import { stageLayers } from '../../engines/vllm/stage-layers.ts';
import type { ModelSpec } from '../../spec/model.ts';
import { sum } from '../../units.ts';
import type { Communication } from './types.ts';

export interface CommunicationInput {
  architecture: Architecture;
  spec: ModelSpec;
  profile: Profile;
  options: ResolvedOptions;
}

type Terms = Pick<Communication, 'tensorBytes' | 'pipelineBytes' | 'expertBytes' | 'contextBytes'>;

export function communicationOf(input: CommunicationInput): Communication {
  const { pipelineParallelSize: pp, tensorParallelSize: tp } = input.options;
  const stages = stageLayers(input) ?? [];
  const terms = stages.map((layers, stage) =>
    stageTerms(input, layers, { first: stage === 0, last: stage === pp - 1 }),
  );
  const totals = terms.map((term) => sum(Object.values(term)));
  const busiest = totals.indexOf(Math.max(0, ...totals));
  const none: Terms = { tensorBytes: 0, pipelineBytes: 0, expertBytes: 0, contextBytes: 0 };
  return {
    bytesPerToken: totals[busiest] ?? 0,
    replicaBytesPerToken: sum(totals) * tp,
    ...(terms[busiest] ?? none),
  };
}

function stageTerms(
  input: CommunicationInput,
  layers: { start: number; end: number },
  stage: { first: boolean; last: boolean },
): Terms {
  const { architecture, options } = input;
  const own = Array.from({ length: layers.end - layers.start }, (_, i) => layers.start + i);
  const { rows, mixtures } = sumsOf(architecture);
  const hidden = architecture.forward.hiddenSize * dtypeBytes[options.dtype];
  const experts = own.filter((layer) => mixtures.has(layer)).length;
  const reduced = sum(own.map((layer) => rows.get(layer) ?? 0)) * dtypeBytes[options.dtype];
  const { expertBytes, summed } = expertExchange(input, hidden);
  return {
    tensorBytes: Math.round(
      allReduce(reduced + summed * experts, options.tensorParallelSize) +
        vocabularyBytes(architecture, options, hidden, stage),
    ),
    pipelineBytes: Math.round(pipelineBytes(hidden, options.tensorParallelSize, stage)),
    expertBytes: Math.round(expertBytes * experts),
    contextBytes: Math.round(contextBytes(input) * own.filter((layer) => hasAttention(architecture, layer)).length),
  };
}

function allReduce(message: number, ranks: number): number {
  return (2 * (ranks - 1) * message) / ranks;
}

const sums = new WeakMap<Architecture, { rows: Map<number, number>; mixtures: Set<number> }>();

/** Values summed over ranks per layer (outputs of row-parallel linears outside the experts), and the layers with routed experts. */
function sumsOf(architecture: Architecture): { rows: Map<number, number>; mixtures: Set<number> } {
  const known = sums.get(architecture);
  if (known) return known;
  const rows = new Map<number, number>();
  const mixtures = new Set<number>();
  const text = architecture.tensors.filter(({ part, layers }) => part === 'text' && layers !== undefined);
  for (const group of text)
    if (group.role.startsWith('expert-')) for (const layer of group.layers!) mixtures.add(layer);
  for (const group of text.filter(isSummed)) {
    for (const layer of group.layers!) {
      // Shared experts are added to the routed ones before the one sum of both.
      if (group.role === 'shared-down' && mixtures.has(layer)) continue;
      rows.set(layer, (rows.get(layer) ?? 0) + group.shape[0]!);
    }
  }
  const found = { rows, mixtures };
  sums.set(architecture, found);
  return found;
}

function isSummed(group: TensorGroup): boolean {
  return group.shard.by === 'row' && group.shape.length === 2;
}

function hasAttention({ caches }: Architecture, layer: number): boolean {
  return caches[layer]?.caches.some(({ kind }) => kind !== 'state') ?? false;
}

/** The embedding is summed over the ranks of the first stage, the scores of a token gathered on those of the last. */
function vocabularyBytes(
  { forward, tensors }: Architecture,
  { tensorParallelSize: tp, dtype }: ResolvedOptions,
  hidden: number,
  { first, last }: { first: boolean; last: boolean },
): number {
  const split = tensors.some(({ role, shard }) => role === 'embedding' && shard.by === 'vocabulary');
  const scores = (forward.vocabSize / tp) * dtypeBytes[dtype] * (tp - 1);
  return (first && split ? allReduce(hidden, tp) : 0) + (last ? scores : 0);
}

/**
 * Hidden states and residual: each rank sends its share of them, the receivers put the shares together. vllm/distributed/
 * parallel_state.py send_tensor_dict, recv_tensor_dict with all_gather_group.
 */
function pipelineBytes(hidden: number, tp: number, { first, last }: { first: boolean; last: boolean }): number {
  const states = 2 * hidden;
  return (last ? 0 : states / tp) + (first ? 0 : (states * (tp - 1)) / tp);
}

/**
 * Per layer of experts, and what is left to sum over the tensor-parallel ranks. One replica: every rank has every token, and the
 * experts' outputs are summed like an MLP's, whether they are cut or dealt out. Several replicas: all tokens go to all of them and
 * the outputs come back; with dealt-out experts each tensor-parallel rank carries its share of the tokens (sequence parallel).
 */
function expertExchange(
  { options, profile }: CommunicationInput,
  hidden: number,
): { expertBytes: number; summed: number } {
  const { dataParallelSize: dp, tensorParallelSize: tp, enableExpertParallel } = options;
  if (dp === 1) return { expertBytes: 0, summed: hidden };
  const gathers = (profile as { 'parallel.expertExchange'?: string })['parallel.expertExchange'];
  if (gathers !== 'all-gather-reduce-scatter') return { expertBytes: 3 * (dp - 1) * hidden, summed: hidden };
  if (!enableExpertParallel || tp === 1) return { expertBytes: 2 * (dp - 1) * hidden, summed: hidden };
  return { expertBytes: (2 * (tp * dp - 1) * hidden) / tp + ((tp - 1) * hidden) / tp, summed: 0 };
}

/**
 * Ranks that share a sequence gather each other's queries, attend over their part of the cache, gather the logarithms of the sums and
 * scatter the outputs. vllm/v1/attention/ops/dcp.py cp_lse_ag_out_rs, v1/attention/backends/flash_attn.py.
 */
function contextBytes({ architecture, spec, options }: CommunicationInput): number {
  const { decodeContextParallelSize: dcp, tensorParallelSize: tp, dtype } = options;
  if (dcp === 1) return 0;
  const { heads, queryDim } = attentionSizes(spec.config);
  const latent = architecture.caches.flatMap(({ caches }) => caches).find((cache) => cache.kind === 'mla');
  const query = latent?.kind === 'mla' ? heads * latent.latentDim : queryDim;
  const output = latent?.kind === 'mla' ? heads * latent.kvLoraRank : queryDim;
  const others = dcp - 1;
  return others * (((query + output) / tp) * dtypeBytes[dtype] + ((heads * dcp) / tp) * dtypeBytes.float32);
}
