// What vLLM makes of an encoder tower on one rank: which of its tensors it loads, how far it splits them, and the tables and
// batch-sized buffers that come with the class. Law: model_executor/models/ and models/interfaces.py _mark_tower_model, 0.6 to
// 0.33, as presets/engines/vllm/towers.yaml records it.
import type { Architecture, TensorGroup, TowerBuffer } from '../../../architecture/types.ts';
import type { JsonObject } from '../../../spec/model.ts';
import { dtypeBytes } from '../resolved.ts';
import { type DeviceTensor, refuse, type WeightsInput } from './types.ts';

/** The rule names of presets/engines/vllm/towers.yaml with their types. */
export interface TowerRules {
  /** Pipeline stages that build the tower. */
  'weights.towerStages': 'every' | 'first';
  /** Classes that do not mark their tower as one: every stage builds it, whatever the limits. */
  'weights.unmarkedTowers': string[];
  /** --language-model-only and limits of 0 for every modality leave the tower out. */
  'weights.towersOptional': boolean;
  /** How towers of repositories in Mistral's own format are built. */
  'weights.mistralFormatTower': 'whole' | 'split';
  /** Which of a repository's two formats is read when it has both. */
  'weights.preferredFormat': 'hugging-face' | 'mistral';
  /** Architecture classes whose tower does not take every quantization configuration. */
  'weights.towerQuantization': Record<string, TowerQuantization>;
  /** Buffers that the release's classes hold. */
  'weights.towerBuffers': TowerBuffer['kind'][];
}

/** Which configurations a class hands to its tower: none, all but some methods, or those whose kernels take its widths. */
export type TowerQuantization =
  | { kind: 'never' }
  | { kind: 'except'; methods: string[] }
  | { kind: 'multiple'; of: number; anyWidth: string[] };

/** The tensors a rank is built from: without those no engine loads, the tower placed by the release's rules. */
export function loadedTensors(input: WeightsInput): TensorGroup[] {
  const { architecture, options } = input;
  const loaded = architecture.tensors.filter((group) => !group.unloaded);
  if (!hasTower(architecture)) return loaded;
  if (!buildsTower(input)) return loaded.filter((group) => !isTower(group));
  const groups = loaded.map((group) => (isTower(group) && !takesScheme(group, input) ? plain(group) : group));
  const { heads, split } = architecture.tower!;
  if (wholeTower(input) || split === 'whole' || heads % options.tensorParallelSize === 0) return groups;
  if (split === 'heads') refuse(`AssertionError: ${heads} is not divisible by ${options.tensorParallelSize}`);
  const kept = split === 'heads-or-whole' ? isTower : isTowerAttention;
  return groups.map((group) => (kept(group) ? whole(group) : group));
}

/** Tables and buffers of the tower on this stage. */
export function towerBuffers(input: WeightsInput): DeviceTensor[] {
  const { architecture, options, profile } = input;
  if (!hasTower(architecture) || !buildsTower(input)) return [];
  const held = (profile as Partial<TowerRules>)['weights.towerBuffers'] ?? [];
  return architecture
    .tower!.buffers.filter((buffer) => held.includes(buffer.kind))
    .map(({ kind, values, perBatchedToken = false, bytesPerValue = dtypeBytes[options.dtype] }) => ({
      name: `tower ${kind}`,
      bytes: values * bytesPerValue * (perBatchedToken ? options.maxNumBatchedTokens : 1),
      part: 'buffers',
    }));
}

/** Every rank holds the whole tower: by option, or because the class has no parallel layers. */
export function wholeTower(input: WeightsInput): boolean {
  const rules = input.profile as Partial<TowerRules>;
  if (input.options.mmEncoderTpMode === 'data') return true;
  return rules['weights.mistralFormatTower'] === 'whole' && inMistralFormat(input);
}

/** Does the rank's stage hold the tower at all? */
export function buildsTower({ options, place, profile, spec }: WeightsInput): boolean {
  const rules = profile as Partial<TowerRules>;
  if (rules['weights.unmarkedTowers']?.includes(spec.architecture)) return true;
  if (rules['weights.towersOptional'] && (options.languageModelOnly || allZero(options.limitMmPerPrompt))) return false;
  return place.stage === 0 || rules['weights.towerStages'] !== 'first';
}

function hasTower(architecture: Architecture): boolean {
  return architecture.tower !== undefined;
}

function isTower({ part }: TensorGroup): boolean {
  return part === 'vision' || part === 'audio' || part === 'projector';
}

function isTowerAttention(group: TensorGroup): boolean {
  return isTower(group) && /\.attn\./.test(group.name);
}

function whole(group: TensorGroup): TensorGroup {
  return { ...group, shard: { by: 'replicated' } };
}

function plain(group: TensorGroup): TensorGroup {
  const { linear: _, ...rest } = group;
  return rest;
}

function takesScheme(group: TensorGroup, { architecture, profile, scheme, spec }: WeightsInput): boolean {
  const rule = (profile as Partial<TowerRules>)['weights.towerQuantization']?.[spec.architecture];
  if (!rule || !group.linear || !scheme) return true;
  const { method } = scheme;
  switch (rule.kind) {
    case 'never':
      return false;
    case 'except':
      return !rule.methods.includes(method);
    case 'multiple':
      return rule.anyWidth.includes(method) || towerWidths(architecture, group).every((width) => width % rule.of === 0);
  }
}

/** Widths of the linear layers of the encoder that the tensor belongs to; a projector belongs to the vision encoder. */
function towerWidths({ tensors }: Architecture, { part }: TensorGroup): number[] {
  const encoder = part === 'audio' ? 'audio' : 'vision';
  return tensors.filter((group) => group.part === encoder && group.linear).flatMap(({ shape }) => shape);
}

/** Mistral AI's own repositories carry both formats; re-uploads in another scheme carry the Hugging Face form alone. */
function inMistralFormat({ architecture, profile, scheme, spec }: WeightsInput): boolean {
  const rules = profile as Partial<TowerRules>;
  const own = spec.hfId?.startsWith('mistralai/') === true && (scheme === undefined || scheme.id === 'none');
  return own && architecture.tower?.wholeInMistralFormat === true && rules['weights.preferredFormat'] === 'mistral';
}

/** Every modality that the user limits is limited to 0, and the common ones are all named. */
function allZero(limits: JsonObject | undefined): boolean {
  if (!limits || limits.image === undefined || limits.video === undefined) return false;
  return Object.values(limits).every((limit) => limit === 0);
}
