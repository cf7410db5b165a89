// A recipe for llm-compressor and vLLM: every linear layer of the decoder stays in 16 bits or takes 8 or 4, so that the checkpoint's
// tensors stay under a budget. What vLLM runs as one matrix (q, k, v; gate and up; all experts of a layer) shares a scheme; lm_head,
// embeddings, routers, vision and the rest of the published ignore lists stay in 16 bits.
// Law: vLLM compressed_tensors/utils.py should_ignore_layer, get_moe_method; llm-compressor group_size_validation.py.
import type { Architecture, TensorGroup, TensorRole } from '../../architecture/types.ts';
import { assert } from '../../assert.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import { type GroupEntry, groupsOf } from './groups.ts';
import { chooseOptions, type Item, smallestOptions } from './knapsack.ts';
import { bytesUnder, configGroups, illegalRecipe } from './llm-compressor.ts';
import { type EightBit, moduleLossCurves } from './loss.ts';
import {
  ignoreListFor,
  isCandidate,
  isExperts,
  loadedTensors,
  matricesOf,
  plainBytes,
  valueCount,
  valuesOf,
} from './matrices.ts';
import { ggufRole } from './roles.ts';
import { type MatrixShape, schemeBytes, schemesFor } from './schemes.ts';
import { sensitivities } from './sensitivity.ts';
import type { ComparedMix, LlmCompressorRecipe, ModuleScheme } from './types.ts';

export interface ModuleRecipeInput {
  architecture: Architecture;
  budgetBytes: number;
  /** Which 8 bits: FP8 with dynamic activations (capability 8.9 and later run it as such), or INT8 weights only. Default fp8. */
  eightBit?: EightBit;
  /** Groups of 128 inputs must divide by it too. Default 1. */
  tensorParallel?: number;
}

/** Matrices of one layer that share a scheme. */
interface Unit extends Item {
  key: string;
  schemes: readonly ModuleScheme[];
  members: { group: TensorGroup; layer: number; shape: MatrixShape; sensitivity: number }[];
}

export function moduleRecipe(input: ModuleRecipeInput): LlmCompressorRecipe {
  const { architecture, budgetBytes, eightBit = 'fp8' } = input;
  const curve = moduleLossCurves[eightBit];
  const units = unitsOf(input);
  const plain = loadedTensors(architecture).map((group) => plainBytes(group));
  const fixedBytes = plain.reduce((a, b) => a + b, 0) - units.reduce((sum, unit) => sum + unitBytes(unit, 'bf16'), 0);
  const choice = chooseOptions(units, budgetBytes - fixedBytes);
  const picked = choice?.picked ?? smallestOptions(units);
  const schemes = new Map(units.map((unit, i) => [unit.key, unit.schemes[picked[i]!]!]));
  const bytes = fixedBytes + units.reduce((sum, unit, i) => sum + unit.options[picked[i]!]!.bytes, 0);
  const loss = units.reduce((sum, unit, i) => sum + unit.options[picked[i]!]!.loss, 0);
  const weight = units.reduce(
    (sum, { members }) => sum + members.reduce((s, m) => s + valuesOf(m.shape) * m.sensitivity, 0),
    0,
  );
  const parameters = loadedTensors(architecture).reduce((sum, group) => sum + valueCount(group), 0);
  const assigned = units.flatMap((unit) =>
    unit.members.map(({ group, layer }) => ({ group, layer, scheme: schemes.get(unit.key)! })),
  );
  const compared = bestScheme(units, { budgetBytes, fixedBytes, weight });
  const recipe: LlmCompressorRecipe = {
    tool: 'llm-compressor',
    fits: choice !== undefined,
    shortfallBytes: Math.max(0, bytes - budgetBytes),
    budgetBytes,
    bytes,
    chargedBytes: bytes,
    parameters,
    bitsPerWeight: (bytes * 8) / parameters,
    loss: {
      value: weight > 0 ? loss / weight : 0,
      bound: weight > 0 ? (choice?.bound ?? loss) / weight : 0,
      measure: curve.measure,
      source: curve.source,
    },
    confidence: 'estimated',
    ...(compared ? { compared } : {}),
    groups: groupsOf(entriesOf(architecture, units, schemes)),
    notes: notesOf(units, schemes),
    configGroups: configGroups(assigned),
    ignore: ignoreListFor(architecture),
  };
  const illegal = illegalRecipe(recipe, architecture);
  assert(illegal.length === 0, `the recipe is not legal: ${illegal.join(', ')}`);
  assert(bytesUnder(recipe, architecture) === bytes, 'the recipe gives the bytes that it claims');
  return recipe;
}

function unitBytes(unit: Unit, scheme: ModuleScheme): number {
  return unit.members.reduce((sum, { shape }) => sum + schemeBytes(scheme, shape), 0);
}

function unitsOf({ architecture, eightBit = 'fp8', tensorParallel = 1 }: ModuleRecipeInput): Unit[] {
  const { loss } = moduleLossCurves[eightBit];
  const sensitivity = sensitivitiesOf(architecture);
  const units = new Map<string, Unit>();
  const last = Math.max(0, ...architecture.tensors.flatMap(({ layers = [] }) => layers));
  for (const group of loadedTensors(architecture)) {
    if (!isCandidate(group)) continue;
    for (const layer of group.layers!) {
      const key = `${layer} ${unitName(group)}`;
      const unit = units.get(key) ?? {
        key,
        schemes: [],
        members: [],
        options: [],
        charged: true,
        rank: Math.min(layer, last - layer),
      };
      units.set(key, unit);
      unit.members.push({
        group,
        layer,
        shape: matricesOf(group),
        sensitivity: sensitivity.get(ggufName(group.role, layer)) ?? 1,
      });
    }
  }
  return [...units.values()].map((unit) => {
    const schemes = schemesFor(
      unit.members.map(({ group, shape }) => ({ shape, splitInputs: splitsInputs(group) })),
      { eightBit, tensorParallel },
    );
    const weight = unit.members.reduce((sum, { shape, sensitivity: s }) => sum + valuesOf(shape) * s, 0);
    const options = schemes.map((scheme) => ({ bytes: unitBytes({ ...unit }, scheme), loss: weight * loss[scheme]! }));
    return { ...unit, schemes, options };
  });
}

/** What vLLM builds as one module of a layer. */
function unitName(group: TensorGroup): string {
  if (isExperts(group)) return 'experts';
  return group.merge ?? group.name;
}

/** Its inputs are divided among tensor-parallel ranks. */
function splitsInputs(group: TensorGroup): boolean {
  const shard = group.shard.by === 'expert' ? group.shard.inner : group.shard;
  return shard.by === 'row';
}

const ggufNames: Partial<Record<TensorRole, string>> = {
  q: 'attn_q',
  k: 'attn_k',
  v: 'attn_v',
  qkv: 'attn_qkv',
  o: 'attn_output',
  'q-a': 'attn_q_a',
  'q-b': 'attn_q_b',
  'kv-a': 'attn_kv_a_mqa',
  'kv-b': 'attn_kv_b',
  gate: 'ffn_gate',
  up: 'ffn_up',
  'gate-up': 'ffn_gate_up',
  down: 'ffn_down',
  'expert-gate': 'ffn_gate_exps',
  'expert-up': 'ffn_up_exps',
  'expert-gate-up': 'ffn_gate_up_exps',
  'expert-down': 'ffn_down_exps',
  'shared-gate': 'ffn_gate_shexp',
  'shared-up': 'ffn_up_shexp',
  'shared-down': 'ffn_down_shexp',
  'state-in': 'ssm_in',
  'state-out': 'ssm_out',
};

function ggufName(role: TensorRole, layer: number): string {
  return `blk.${layer}.${ggufNames[role] ?? 'other'}.weight`;
}

/** The published mixes speak of GGUF tensors: the decoder's matrices under those names. */
function sensitivitiesOf({ tensors, forward }: Architecture): Map<string, number> {
  const names = new Set<string>();
  let blocks = 0;
  for (const { role, layers = [], part } of tensors) {
    if (part !== 'text') continue;
    for (const layer of layers) {
      names.add(ggufName(role, layer));
      blocks = Math.max(blocks, layer + 1);
    }
  }
  const gqa = forward.kvDim > 0 ? Math.max(1, Math.round(forward.queryDim / forward.kvDim)) : 1;
  const model: GgufModel = {
    architecture: 'llama',
    metadata: {
      block_count: blocks,
      'attention.head_count': gqa,
      'attention.head_count_kv': 1,
      expert_count: forward.moe?.experts ?? 0,
    },
    tensors: [...names].map((name) => ({ name, ne: [256, 256], type: 'f16' as const })),
    vocabSize: forward.vocabSize,
  };
  return sensitivities(model);
}

const roleWords: Partial<Record<TensorRole, string>> = {
  embedding: 'embedding',
  'lm-head': 'output',
  router: 'router',
  'shared-router': 'router',
  norm: 'norms',
  vision: 'vision',
  projector: 'vision',
  audio: 'audio',
  'state-in': 'state',
  'state-out': 'state',
  'state-other': 'state',
};

function roleOf({ role, part }: TensorGroup): string {
  if (part === 'vision' || part === 'projector') return 'vision';
  return roleWords[role] ?? ggufRole(ggufName(role, 0));
}

function* entriesOf(
  architecture: Architecture,
  units: readonly Unit[],
  schemes: ReadonlyMap<string, ModuleScheme>,
): Generator<GroupEntry> {
  for (const unit of units) {
    const type = schemes.get(unit.key)!;
    for (const { group, layer, shape, sensitivity } of unit.members) {
      const bytes = schemeBytes(type, shape);
      const parameters = valuesOf(shape);
      yield { role: roleOf(group), type, fixed: false, layer, tensors: shape.count, parameters, bytes, sensitivity };
    }
  }
  for (const group of loadedTensors(architecture)) {
    if (isCandidate(group)) continue;
    const tensors = (group.layers?.length ?? 1) * (group.experts ?? 1);
    const parameters = valueCount(group);
    const bytes = plainBytes(group);
    yield { role: roleOf(group), type: 'bf16', fixed: true, tensors, parameters, bytes, sensitivity: 1 };
  }
}

/** One scheme for all modules that allow it, under the same budget. */
function bestScheme(
  units: readonly Unit[],
  { budgetBytes, fixedBytes, weight }: { budgetBytes: number; fixedBytes: number; weight: number },
): ComparedMix | undefined {
  const uniform = (['bf16', 'fp8', 'w8a16', 'w4a16'] as const).flatMap((name): ComparedMix[] => {
    if (!units.some((unit) => unit.schemes.includes(name))) return [];
    let [bytes, loss] = [fixedBytes, 0];
    for (const { schemes, options } of units) {
      const at = schemes.includes(name) ? schemes.indexOf(name) : schemes.length - 1;
      bytes += options[at]!.bytes;
      loss += options[at]!.loss;
    }
    return [{ name, bytes, loss: loss / weight }];
  });
  return uniform.find(({ bytes }) => bytes <= budgetBytes);
}

function notesOf(units: readonly Unit[], schemes: ReadonlyMap<string, ModuleScheme>): string[] {
  const notes: string[] = [];
  const narrow = units.filter((unit) => !unit.schemes.includes('w4a16')).length;
  if (narrow > 0)
    notes.push(`${narrow} modules have inputs that groups of 128 do not divide: they stay in 8 or 16 bits`);
  const experts = new Set(units.filter(({ key }) => key.endsWith(' experts')).map(({ key }) => schemes.get(key)));
  if (experts.size > 0)
    notes.push('load the model under load_quantizable_moe, so that experts are modules of their own');
  return notes;
}
