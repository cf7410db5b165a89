// From the checkpoint's tensor list to the modules that a vLLM rank builds: merged linears, experts, and everything else, in
// the order of construction, for one tensor rank of one pipeline stage. Knows no scheme and no release by itself: what
// differs by release or model class arrives as ModulePlan.
import type { TensorGroup, TensorRole } from '../../../architecture/types.ts';
import { expertShare } from './experts.ts';
import { divide, rankColumns, rankRows, type ShardContext } from './shard.ts';
import type { ExpertsModule, LinearModule, Member, Module, Parallel, PlainModule } from './types.ts';

export interface ModulePlan extends ShardContext {
  /** Decoder layers of the stage: [start, end). */
  layers: { start: number; end: number };
  firstStage: boolean;
  lastStage: boolean;
  /** The stage builds the encoder towers. */
  towerStage: boolean;
  /** What this class builds on every stage: embedding and head, the embedding alone, or neither. */
  embeddingStages: 'every' | 'embedding' | 'everything' | 'usual';
  tied: boolean;
  /** The Transformers backend keeps all that comes before the layers on the last stage too where the head is the embedding. */
  keepsStart: boolean;
  dtypeBytes: number;
  experts: {
    size: number;
    rank: number;
    parallel: boolean;
    tensorSize: number;
    placement: 'rest-last' | 'rest-first';
    minimumInner: number;
  };
  /** Towers are whole on every rank. */
  replicatedTowers: boolean;
  /** The target's multi-token-prediction layers draft. */
  draftLayers: boolean;
  /** K and V of layers that read another layer's cache are built all the same. */
  idleKv: boolean;
  /** Linears that this class keeps whole on every rank under the scheme at hand, by name. */
  wholeLinears: readonly RegExp[];
  /** Routers are float32 whatever the model's dtype. */
  float32Routers: boolean;
}

const elementSizes = { float32: 4, int64: 8, int32: 4, uint8: 1 } as const;

/** All modules of the rank, in construction order. */
export function buildModules(all: readonly TensorGroup[], plan: ModulePlan): Module[] {
  const groups = all.filter((group) => !group.unloaded && !(group.idleKv && !plan.idleKv));
  const firstLayered = groups.findIndex(isDecoderLayer);
  const lastLayered = groups.findLastIndex(isDecoderLayer);
  const before = groups.filter((group, i) => (i < firstLayered || firstLayered < 0) && !isDecoderLayer(group));
  const after = groups.filter((group, i) => firstLayered >= 0 && i > firstLayered && !isDecoderLayer(group));
  const layered = groups.slice(Math.max(firstLayered, 0), lastLayered + 1).filter(isDecoderLayer);
  const out: Module[] = [];
  const head = before.filter((group) => onStage(group, plan, 'before'));
  const tail = after.filter((group) => onStage(group, plan, 'after'));
  out.push(...collect(head, plan, undefined));
  const byLayer = new Map<number, TensorGroup[]>();
  for (const group of layered) {
    for (const layer of group.layers!) {
      if (layer < plan.layers.start || layer >= plan.layers.end) continue;
      const list = byLayer.get(layer);
      if (list) list.push(group);
      else byLayer.set(layer, [group]);
    }
  }
  for (const layer of [...byLayer.keys()].sort((a, b) => a - b)) out.push(...collect(byLayer.get(layer)!, plan, layer));
  out.push(...collect(tail, plan, undefined));
  return out;
}

function isDecoderLayer(group: TensorGroup): boolean {
  return group.layers !== undefined && group.part === 'text';
}

/** Does the stage hold a tensor outside the decoder layers? Drafting layers are loaded only by drafts. */
function onStage(group: TensorGroup, plan: ModulePlan, position: 'before' | 'after'): boolean {
  if (group.part === 'mtp') return plan.draftLayers && plan.lastStage && !isShared(group);
  if (group.part !== 'text') return plan.towerStage;
  if (group.role === 'embedding' && plan.embeddingStages !== 'usual') return true;
  if (group.role === 'position-embedding' && plan.embeddingStages === 'every') return true;
  if (group.role === 'lm-head' && plan.embeddingStages === 'every') return true;
  if (group.role === 'embedding' && plan.lastStage && plan.tied) return true;
  if (position === 'before' && plan.lastStage && plan.keepsStart) return true;
  if (group.role === 'embedding' || group.role === 'position-embedding') return plan.firstStage;
  if (group.role === 'lm-head') return plan.lastStage;
  return position === 'before' ? plan.firstStage : plan.lastStage;
}

/** Drafting layers use the embedding and the head of the model itself. */
function isShared(group: TensorGroup): boolean {
  return group.role === 'embedding' || group.role === 'lm-head';
}

/** Modules of one decoder layer (or of the tensors outside the layers), merging what vLLM merges. */
function collect(groups: readonly TensorGroup[], plan: ModulePlan, layer: number | undefined): Module[] {
  const out: Module[] = [];
  const open = new Map<string, { module: LinearModule | ExpertsModule; members: Member[] }>();
  const indices = layer === undefined ? (group: TensorGroup) => group.layers ?? [undefined] : () => [layer];
  for (const group of groups) {
    for (const index of indices(group)) {
      if (group.shard.by === 'expert' || group.experts !== undefined) addExpert(group, index, plan, out, open);
      else if (isLinear(group)) addLinear(group, index, plan, out, open);
      else out.push(plain(group, index, plan));
    }
  }
  return out;
}

/** Matrices of linear layers, and their biases, which carry the same name or merge key. */
function isLinear(group: TensorGroup): boolean {
  return group.linear === true || group.role === 'router' || (group.merge !== undefined && group.shape.length <= 2);
}

function addLinear(
  group: TensorGroup,
  layer: number | undefined,
  plan: ModulePlan,
  out: Module[],
  open: Map<string, { module: LinearModule | ExpertsModule; members: Member[] }>,
): void {
  const name = placeName(group.name, layer);
  const base = name.replace(/\.(weight|bias)$/, '');
  const key = group.merge ? placeName(group.merge, layer) : base;
  const isWhole = (isTower(group) && plan.replicatedTowers) || plan.wholeLinears.some((pattern) => pattern.test(base));
  const shard = isWhole ? ({ by: 'replicated' } as const) : group.shard;
  const rows = rankRows(group.shape[0]!, shard, plan) * (group.alsoValue ? 2 : 1);
  const known = open.get(key);
  if (group.shape.length === 1) {
    if (known?.module.kind === 'linear' && name.endsWith('.bias')) known.module.bias += rows;
    else out.push(plain(group, layer, plan));
    return;
  }
  const member: Member = { name: base, role: group.role, rows, fullRows: group.shape[0]! };
  const inputs = group.shape.slice(1).reduce((a, b) => a * b, 1);
  if (known?.module.kind === 'linear') {
    known.members.push(member);
    known.module.outputs += rows;
    return;
  }
  const members = [member];
  const module: LinearModule = {
    kind: 'linear',
    name: key,
    part: partOf(group),
    members,
    inputs: rankColumns(inputs, shard, plan),
    fullInputs: inputs,
    outputs: rows,
    parallel: parallelOf(shard.by),
    bias: 0,
    quantizable: group.linear === true,
    ...(group.dtype ? { elementBytes: elementSizes[group.dtype] } : {}),
    ...(group.role === 'router' && plan.float32Routers ? { elementBytes: elementSizes.float32 } : {}),
    ...(layer === undefined ? {} : { layer }),
  };
  open.set(key, { module, members });
  out.push(module);
}

function addExpert(
  group: TensorGroup,
  layer: number | undefined,
  plan: ModulePlan,
  out: Module[],
  open: Map<string, { module: LinearModule | ExpertsModule; members: Member[] }>,
): void {
  const name = placeName(group.name, layer);
  const key = `${expertsPrefix(name)}`;
  let known = open.get(key);
  if (!known) {
    const share = expertShare(group.experts ?? 1, plan.experts);
    const members: Member[] = [];
    const module: ExpertsModule = {
      kind: 'experts',
      name: key,
      part: group.part === 'mtp' ? 'draft' : 'experts',
      members,
      experts: share,
      fullExperts: group.experts ?? 1,
      hidden: 0,
      inner: 0,
      fullInner: 0,
      gated: false,
      bias: false,
      ...(layer === undefined ? {} : { layer }),
    };
    known = { module, members };
    open.set(key, known);
    out.push(module);
  }
  const module = known.module as ExpertsModule;
  if (group.shape.length === 1) {
    module.bias = true;
    return;
  }
  known.members.push({
    name: name.replace(/\.weight$/, ''),
    role: group.role,
    rows: group.shape[0]!,
    fullRows: group.shape[0]!,
  });
  if (group.role === 'expert-gate' || group.role === 'expert-gate-up') module.gated = true;
  if (group.role === 'expert-down') {
    module.hidden = group.shape[0]!;
    module.fullInner = group.shape[1]!;
    module.inner = plan.experts.parallel
      ? module.fullInner
      : Math.max(divide(module.fullInner, plan.experts.tensorSize), plan.experts.minimumInner);
  }
}

/** The name of the experts as a whole: the path before {expert}, or before the fused matrix's own name. */
function expertsPrefix(name: string): string {
  const at = name.indexOf('.{expert}');
  if (at >= 0) return name.slice(0, at);
  return name.replace(/\.[^.]+?(\.weight|\.bias)?$/, '');
}

function plain(group: TensorGroup, layer: number | undefined, plan: ModulePlan): PlainModule {
  const shard = isTower(group) && plan.replicatedTowers ? ({ by: 'replicated' } as const) : group.shard;
  const rows = rankRows(group.shape[0] ?? 1, shard, plan);
  const columns = group.shape.length > 1 ? rankColumns(group.shape[1]!, shard, plan) : 1;
  const rest = group.shape.slice(2).reduce((a, b) => a * b, 1);
  return {
    kind: 'plain',
    name: placeName(group.name, layer),
    part: group.buffer ? 'buffers' : partOf(group),
    role: group.role,
    elements: rows * columns * rest,
    elementBytes: group.dtype ? elementSizes[group.dtype] : plan.dtypeBytes,
    whole: rows === (group.shape[0] ?? 1) && columns === (group.shape.length > 1 ? group.shape[1] : 1),
    ...(layer === undefined ? {} : { layer }),
  };
}

function isTower(group: TensorGroup): boolean {
  return group.part === 'vision' || group.part === 'audio' || group.part === 'projector';
}

function parallelOf(by: string): Parallel {
  if (by === 'row') return 'row';
  return by === 'replicated' ? 'replicated' : 'column';
}

function placeName(pattern: string, layer: number | undefined): string {
  return layer === undefined ? pattern : pattern.replace('{layer}', String(layer));
}

const rolePart: Partial<Record<TensorRole, string>> = {
  embedding: 'embedding',
  'position-embedding': 'embedding',
  'lm-head': 'lm_head',
  norm: 'norms',
  gate: 'mlp',
  up: 'mlp',
  'gate-up': 'mlp',
  down: 'mlp',
  router: 'router',
  'shared-gate': 'shared_experts',
  'shared-up': 'shared_experts',
  'shared-down': 'shared_experts',
  'shared-router': 'shared_experts',
  'state-in': 'mamba',
  'state-out': 'mamba',
  'state-other': 'mamba',
  mtp: 'mtp',
  other: 'other',
};

/** The part of the model under which a tensor is reported. */
function partOf(group: TensorGroup): string {
  if (group.part === 'vision' || group.part === 'audio' || group.part === 'projector') return 'vision';
  if (group.part === 'mtp') return 'draft';
  return rolePart[group.role] ?? 'attention';
}
