// Where vLLM puts the parts of a model: layers by pipeline stage, heads, rows and experts by tensor rank. Law: distributed/utils.py
// get_pp_indices, model_executor/layers/{linear,vocab_parallel_embedding}.py, layers/fused_moe (linear placement), and for the bytes
// the tensors that the weight rules give a rank.
import { attentionSizes } from '../../architecture/build.ts';
import type { TensorGroup } from '../../architecture/types.ts';
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { stageLayers } from '../../engines/vllm/stage-layers.ts';
import { expertShare } from '../../engines/vllm/weights/experts.ts';
import { deviceTensors } from '../../engines/vllm/weights/index.ts';
import type { WeightRules } from '../../engines/vllm/weights/rules.ts';
import type { DeviceTensor, WeightsInput } from '../../engines/vllm/weights/types.ts';
import { alignUp, sum } from '../../units.ts';
import type { PlanRequest } from '../request.ts';
import type { PlacementRole, RankPlacement, RoleBytes, Share } from './types.ts';

interface Subject {
  request: PlanRequest;
  planned: VllmPlanned;
}

/** Every rank of one replica; empty where the release refuses the layout. `expand` is the architecture of a draft. */
export function vllmPlacement(
  subject: Subject,
  expand: (spec: PlanRequest['spec']) => VllmPlanned['architecture'],
): RankPlacement[] {
  const { request, planned } = subject;
  const { architecture, resolved, plan } = planned;
  const { spec, profile, draft } = request;
  const stages = stageLayers({ architecture, spec, profile, options: resolved });
  if (!stages || plan.devices.every(({ weights }) => weights.tensorBytes === 0)) return [];
  const { tensorParallelSize: tp } = resolved;
  const held = new Map<string, DeviceTensor[]>();
  const tensorsAt = (rank: number): DeviceTensor[] => {
    const gpu = request.gpus[rank] ?? request.gpus[0]!;
    const place = { stage: Math.floor(rank / tp), tensorRank: resolved.enableExpertParallel ? rank % tp : 0 };
    const key = `${place.stage}/${place.tensorRank}/${gpu.id}`;
    const known = held.get(key);
    if (known) return known;
    const input: WeightsInput = {
      spec,
      architecture,
      ...(request.scheme ? { scheme: request.scheme } : {}),
      profile,
      gpu,
      options: resolved,
      place,
      ...(draft ? { draft: { ...draft, architecture: expand(draft.spec) } } : {}),
    };
    const tensors = deviceTensors(input);
    held.set(key, tensors);
    return tensors;
  };
  return plan.devices.map(({ rank, gpu, weights }) => {
    const stage = Math.floor(rank / tp);
    const tensorRank = rank % tp;
    const { start, end } = stages[stage]!;
    const tensors = tensorsAt(rank);
    const last = stages.at(-1)!.end;
    return {
      rank,
      gpu,
      stage,
      tensorRank,
      layers: { first: start, count: end - start, of: last },
      ...headShares(subject, tensorRank),
      vocabulary: vocabularyShare(subject, tensorRank, tensors),
      experts: tensors.some(({ part }) => part === 'experts') ? expertsOf(subject, tensorRank) : null,
      bytes: bytesByRole(tensors, tp),
      tensorBytes: weights.tensorBytes,
    };
  });
}

function headShares(
  { request, planned }: Subject,
  rank: number,
): Pick<RankPlacement, 'heads' | 'kvHeads' | 'contextShare'> {
  const { architecture, resolved } = planned;
  const { tensorParallelSize: tp, decodeContextParallelSize: dcp } = resolved;
  const contextShare = dcp > 1 ? { index: rank % dcp, of: dcp } : null;
  if (architecture.attention === 'attention-free') return { heads: null, kvHeads: null, contextShare: null };
  const { heads } = attentionSizes(request.spec.config);
  const kv = architecture.forward.kvHeads;
  const query: Share = { first: (rank * heads) / tp, count: heads / tp, of: heads };
  if (architecture.attention === 'mla') return { heads: query, kvHeads: null, contextShare };
  const copies = Math.max(1, tp / kv);
  const count = Math.max(1, kv / tp);
  const kvHeads = { first: Math.floor(rank / copies) * count, count, of: kv, copies };
  return { heads: query, kvHeads, contextShare };
}

/** Padded to 64 rows, then cut into equal parts: the last ranks hold the padding. */
function vocabularyShare(
  { planned }: Subject,
  rank: number,
  tensors: readonly DeviceTensor[],
): RankPlacement['vocabulary'] {
  const { architecture, resolved } = planned;
  const held = (part: string): boolean => tensors.some((tensor) => tensor.part === part);
  const embedding = held('embedding');
  const head = held('lm_head') || (architecture.tied && embedding && tensorsOfLastStage(planned, tensors));
  const table = architecture.tensors.find(isVocabulary);
  if (!table || !(embedding || held('lm_head'))) return null;
  const rows = table.shape[0]!;
  const count = alignUp(rows, 64) / resolved.tensorParallelSize;
  const first = rank * count;
  const padding = Math.min(count, Math.max(0, first + count - rows));
  return { first, count, of: rows, padding, embedding, head };
}

function isVocabulary({ shard, shape }: TensorGroup): boolean {
  return shard.by === 'vocabulary' && shape.length === 2;
}

/** The tied matrix serves as the head where the last norm is: on the stage of the last layer. */
function tensorsOfLastStage({ architecture }: VllmPlanned, tensors: readonly DeviceTensor[]): boolean {
  const last = architecture.caches.reduce((most, { layer }) => Math.max(most, layer), 0);
  return tensors.some(({ layer }) => layer === last);
}

/** Contiguous ranges over all ranks of a stage, replicas included; this replica is the first. */
function expertsOf({ request, planned }: Subject, rank: number): RankPlacement['experts'] {
  const { architecture, resolved } = planned;
  const { tensorParallelSize: tp, dataParallelSize: dp, enableExpertParallel } = resolved;
  const rules = request.profile as Partial<WeightRules>;
  const of = architecture.forward.moe?.experts ?? 0;
  const size = rules['weights.expertTensorSpan'] === 'tp' ? tp : tp * dp;
  if (!enableExpertParallel || size === 1) return { first: 0, count: of, of, cut: size };
  const placement = rules['weights.expertRemainder'] === 'last' ? 'rest-last' : 'rest-first';
  const share = (at: number): number => expertShare(of, { size, rank: at, parallel: true, placement });
  const first = sum(Array.from({ length: rank }, (_, at) => share(at)));
  return { first, count: share(rank), of, cut: 1 };
}

const roleOfPart: Readonly<Record<string, PlacementRole>> = {
  embedding: 'embedding',
  lm_head: 'head',
  attention: 'attention',
  mlp: 'mlp',
  shared_experts: 'mlp',
  experts: 'experts',
  mamba: 'state',
  vision: 'encoder',
  draft: 'draft',
  mtp: 'draft',
};
/** Tables, scales and norms of which every rank of a stage has the same. */
const alwaysWhole = new Set(['buffers', 'attrs', 'norms', 'router']);

function bytesByRole(tensors: readonly DeviceTensor[], tp: number): RoleBytes {
  const bytes: RoleBytes = {};
  for (const { part, whole, bytes: own } of tensors) {
    const repeated = tp > 1 && (whole === true || alwaysWhole.has(part));
    const role = repeated ? 'replicated' : (roleOfPart[part] ?? 'other');
    bytes[role] = (bytes[role] ?? 0) + own;
  }
  return bytes;
}
