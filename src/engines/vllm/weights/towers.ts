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
  /** --language-model-only and limits of 0 for every modality leave the tower out. */
  'weights.towersOptional': boolean;
  /** How towers of repositories in Mistral's own format are built. */
  'weights.mistralFormatTower': 'whole' | 'split';
  /** Which of a repository's two formats is read when it has both. */
  'weights.preferredFormat': 'hugging-face' | 'mistral';
  /** Buffers that the release's classes hold. */
  'weights.towerBuffers': TowerBuffer['kind'][];
}

/** The tensors a rank is built from: without those no engine loads, the tower placed by the release's rules. */
export function loadedTensors(input: WeightsInput): TensorGroup[] {
  const { architecture, options } = input;
  const groups = architecture.tensors.filter((group) => !group.unloaded);
  if (!hasTower(architecture)) return groups;
  if (!buildsTower(input)) return groups.filter((group) => !isTower(group));
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
  return input.options.mmEncoderTpMode === 'data' || inMistralFormat(input);
}

/** Does the rank's stage hold the tower at all? */
export function buildsTower({ options, place, profile }: WeightsInput): boolean {
  const rules = profile as Partial<TowerRules>;
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

/** Mistral AI's own repositories carry both formats; re-uploads in another scheme carry the Hugging Face form alone. */
function inMistralFormat({ architecture, profile, scheme, spec }: WeightsInput): boolean {
  const rules = profile as Partial<TowerRules>;
  const own = spec.hfId?.startsWith('mistralai/') === true && (scheme === undefined || scheme.id === 'none');
  return (
    architecture.tower?.wholeInMistralFormat === true &&
    own &&
    rules['weights.preferredFormat'] === 'mistral' &&
    rules['weights.mistralFormatTower'] === 'whole'
  );
}

/** Every modality that the user limits is limited to 0, and the common ones are all named. */
function allZero(limits: JsonObject | undefined): boolean {
  if (!limits || limits.image === undefined || limits.video === undefined) return false;
  return Object.values(limits).every((limit) => limit === 0);
}
