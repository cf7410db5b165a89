// Where blocks and tensors lie: -ngl, -ts, -sm, -mg, -ot, --cpu-moe and --n-cpu-moe. Law: src/llama-model.cpp load_tensors (which
// device a layer goes to), src/llama-model-loader.cpp create_tensor (overrides, tied output), src/llama-arch.cpp (which tensors
// belong to the input, to a block, to the output).
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import { sum } from '../../units.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaRules } from './rules.ts';
import { hasStateKernel, type StateRules } from './state-kernels.ts';
import type { LlamaOptions, Place, Placement } from './types.ts';

interface PlacementRules extends StateRules {
  'placement.defaultLayers': 'none' | 'all';
  'placement.outputCounts': boolean;
  'placement.rowSplit': boolean;
  'placement.tensorSplit': boolean;
  'placement.inputTensors': readonly string[];
  'placement.firstBlockTensors': readonly string[];
  'placement.outputTensors': Readonly<Record<string, readonly string[]>>;
  'placement.hostTensors': readonly string[];
  'placement.addedTables': readonly string[];
  'placement.overrides': boolean;
  'placement.draftTensorsSkipped': 'all' | readonly string[];
  'placement.draftTensorsKept': readonly string[];
  'placement.draftTensorsKeptBy': Readonly<Record<string, readonly string[]>>;
  'placement.draftTensorsOnDemand': boolean;
  /** Types of tables that CUDA looks rows up in; null: all that files have. */
  rowLookups: readonly string[] | null;
  /** Types of matrices that CUDA does not multiply by. */
  notMultiplied: readonly string[];
}

export interface PlacementInput {
  model: GgufModel;
  hparams: LlamaHparams;
  options: LlamaOptions;
  rules: LlamaRules;
  /** Bytes that each GPU has free, for the default split; GPUs are counted by it. */
  freeBytes: readonly number[];
}

export interface LlamaPlacement extends Placement {
  /** -ngl in effect: layers on GPUs, the output layer being one. */
  gpuLayers: number;
  /** Layers on each GPU, the output layer included. */
  layersPerGpu: readonly number[];
  /** --split-mode row: share of each GPU in the rows of every matrix. */
  rowShares: readonly number[] | undefined;
  /** -ot or experts on the host: no pipeline parallelism. */
  overridden: boolean;
  /** The output's copy of token_embd is made even beside the original: Gemma 4 asks for the copy first (gemma4.cpp). */
  tiedTwice: boolean;
  /** Every buffer that a tensor is copied to: one, none for a tensor that is not loaded, several for rotary factors. */
  tensorPlaces(tensor: GgufTensor): readonly Place[];
  refusal?: string;
  notes: readonly string[];
}

/** Experts of the blocks named before it, as --cpu-moe and --n-cpu-moe write the pattern (common/arg.cpp). */
const experts = String.raw`\.ffn_(up|down|gate|gate_up)_(ch|)exps`;
const everyLayer = 1_000_000;

/** Places layers and tensors of one model. Cheap: it can be called for every step of a search. */
export function placeModel(input: PlacementInput): LlamaPlacement {
  const { model, hparams, options, rules, freeBytes } = input;
  const law = rules as unknown as PlacementRules;
  const single = options.splitMode === 'none';
  const devices = single ? Math.min(1, freeBytes.length) : freeBytes.length;
  const gpu = (index: number): number => (single ? (options.mainGpu ?? 0) : index);
  const gpuLayers = askedLayers(options, law, hparams.layers);
  const points = splitPoints(single ? freeBytes.slice(gpu(0), gpu(0) + 1) : freeBytes, options.tensorSplit);
  const start = Math.max(hparams.layers + (law['placement.outputCounts'] ? 1 : 0) - gpuLayers, 0);
  const active = devices === 0 ? 0 : Math.min(gpuLayers, hparams.layers + 1);
  const layers = Array.from({ length: hparams.layers + 1 }, (_, il): Place => {
    if (il < start || il - start >= active) return 'cpu';
    const at = Math.fround((il - start) / active);
    return gpu(points.findIndex((point) => point > at));
  });
  const asked = overrideList(options);
  const overrides = law['placement.overrides'] ? asked : [];
  const drafts = options.specType?.includes('draft-mtp') === true;
  const tensorPlaces = tensorPlacer({ law, hparams, layers, overrides, drafts });
  const output = layers[hparams.layers]!;
  const hasOutput = model.tensors.some(({ name }) => name === 'output.weight');
  const embedding = overridePlace('token_embd.weight', overrides) ?? output;
  const refusal = splitRefusal(options, law, freeBytes.length);
  return {
    devices,
    ...(single && devices > 0 && { only: gpu(0) }),
    layers,
    tensorPlaces,
    tensorPlace: (tensor) => tensorPlaces(tensor)[0] ?? 'cpu',
    tiedOutput: hasOutput || !isTied(model) ? undefined : embedding,
    tiedTwice: gemma4.includes(hparams.architecture),
    full: overrides.length === 0 && gpuLayers > hparams.layers && layers.every((place) => place !== 'cpu'),
    gpuLayers,
    layersPerGpu: freeBytes.map((_, i) => layers.filter((place) => place === i).length),
    rowShares: options.splitMode === 'row' && law['placement.rowSplit'] ? shares(points) : undefined,
    overridden: overrides.length > 0,
    notes:
      asked.length > overrides.length ? ['this build knows no -ot, --cpu-moe and --n-cpu-moe: they are ignored'] : [],
    ...(refusal && { refusal }),
  };
}

/** The shares that llama.cpp takes without -ts: the GPUs' free memory. Equal GPUs take equal numbers of layers, the first more. */
export function freeDefaults(freeBytes: readonly number[]): number[] {
  const total = sum(freeBytes);
  return freeBytes.map((bytes) => (total === 0 ? 1 / freeBytes.length : bytes / total));
}

function askedLayers(options: LlamaOptions, law: PlacementRules, layers: number): number {
  const asked = options.gpuLayers;
  if (typeof asked === 'number') return asked;
  if (asked === undefined && law['placement.defaultLayers'] === 'none') return 0;
  return law['placement.outputCounts'] ? layers + 1 : everyLayer;
}

/** Upper bounds of the devices' shares, cumulative and normalised, in float as the loader reckons. */
function splitPoints(free: readonly number[], asked: readonly number[] | undefined): number[] {
  const given = free.map((_, i) => asked?.[i] ?? 0);
  const shares = given.some((share) => share !== 0) ? given : free;
  const cumulative: number[] = [];
  let total = 0;
  for (const share of shares) {
    total = Math.fround(total + Math.fround(share));
    cumulative.push(total);
  }
  return cumulative.map((point) => Math.fround(point / total));
}

/** Shares from their cumulative upper bounds. */
function shares(points: readonly number[]): number[] {
  return points.map((point, i) => point - (points[i - 1] ?? 0));
}

interface Override {
  pattern: RegExp;
  place: Place;
}

/** -ot first, then the experts; the first match decides. */
function overrideList(options: LlamaOptions): Override[] {
  const list = (options.overrideTensor ?? []).map(({ pattern, place }): Override => {
    const device = /^[a-z]+(\d+)$/i.exec(place)?.[1];
    return { pattern: new RegExp(pattern), place: device === undefined ? 'cpu' : Number(device) };
  });
  if (options.cpuMoe) list.push({ pattern: new RegExp(experts), place: 'cpu' });
  const blocks = options.cpuMoeLayers ?? 0;
  if (blocks > 0) {
    // One pattern a block in llama.cpp; here the block's number is read out and compared.
    const numbered = Array.from({ length: blocks }, (_, il) => il).join('|');
    list.push({ pattern: new RegExp(String.raw`blk\.(${numbered})${experts}`), place: 'cpu' });
  }
  return list;
}

function overridePlace(name: string, overrides: readonly Override[]): Place | undefined {
  return overrides.find(({ pattern }) => pattern.test(name))?.place;
}

interface PlacerInput {
  law: PlacementRules;
  hparams: LlamaHparams;
  layers: readonly Place[];
  overrides: readonly Override[];
  /** Blocks of multi-token prediction are asked to draft. */
  drafts: boolean;
}

function tensorPlacer({
  law,
  hparams,
  layers,
  overrides,
  drafts,
}: PlacerInput): (tensor: GgufTensor) => readonly Place[] {
  const cache = new Map<string, readonly Place[]>();
  const skipped = law['placement.draftTensorsSkipped'];
  const wanted = drafts && law['placement.draftTensorsOnDemand'];
  const skipsDraft = !wanted && (skipped === 'all' || skipped.includes(hparams.architecture));
  const keptBy = law['placement.draftTensorsKeptBy'][hparams.architecture] ?? [];
  const kept = [...law['placement.draftTensorsKept'], ...keptBy].map((pattern) => new RegExp(pattern));
  const onHost = law['placement.hostTensors'].map((pattern) => new RegExp(pattern));
  const asOutput = law['placement.outputTensors'][hparams.architecture] ?? [];
  const main = hparams.layers - hparams.nextnLayers;
  // Rotary factors are for the layers of full attention alone where the two kinds rotate differently (gemma4.cpp).
  const rotated = layers.filter(
    (_, il) => il < main && !(hparams.sliding[il] && gemma4.includes(hparams.architecture)),
  );
  const withLayers = [...new Set(rotated)];
  const own = (name: string): readonly Place[] => {
    const block = /(?:^|\.)blk\.(\d+)\./.exec(name)?.[1];
    if (block !== undefined) {
      const il = Number(block);
      if (skipsDraft && il >= main && !kept.some((pattern) => pattern.test(name))) return [];
      return [onHost.some((pattern) => pattern.test(name)) ? 'cpu' : (layers[il] ?? 'cpu')];
    }
    const stem = name.slice(0, name.indexOf('.'));
    if (stem.startsWith('rope_')) return withLayers;
    if (asOutput.includes(stem)) return [layers[hparams.layers]!];
    if (law['placement.inputTensors'].includes(stem)) return ['cpu'];
    return [law['placement.firstBlockTensors'].includes(stem) ? layers[0]! : layers[hparams.layers]!];
  };
  // Rows that no GPU looks up and matrices that none multiplies by stay on the host.
  const lookedUp = ({ name, type }: GgufTensor): boolean =>
    name !== 'per_layer_token_embd.weight' || !law.rowLookups || law.rowLookups.includes(type);
  const added = law['placement.addedTables'].map((pattern) => new RegExp(pattern));
  const isAdded = ({ name, type }: GgufTensor): boolean =>
    type === 'f32' || type === 'f16' || !added.some((pattern) => pattern.test(name));
  const runs = (tensor: GgufTensor): boolean =>
    lookedUp(tensor) &&
    isAdded(tensor) &&
    !law.notMultiplied.includes(tensor.type) &&
    hasStateKernel(tensor, hparams, law);
  const place = (tensor: GgufTensor): readonly Place[] => {
    const usual = own(tensor.name);
    if (usual.length === 0) return usual;
    const forced = overrides.length > 0 ? overridePlace(tensor.name, overrides) : undefined;
    if (forced !== undefined) return [forced];
    return runs(tensor) ? usual : ['cpu'];
  };
  return (tensor) => {
    const known = cache.get(tensor.name) ?? place(tensor);
    cache.set(tensor.name, known);
    return known;
  };
}

const gemma4: readonly string[] = ['gemma4', 'gemma4-assistant'];

/** Models that embed and do not generate have no output matrix at all. */
function isTied(model: GgufModel): boolean {
  return !withoutOutput.includes(model.architecture);
}

const withoutOutput: readonly string[] = [
  'bert',
  'eurobert',
  'gemma-embedding',
  'jina-bert-v2',
  'jina-bert-v3',
  'modern-bert',
  'neo-bert',
  'nomic-bert',
  'nomic-bert-moe',
  't5encoder',
  'wavtokenizer-dec',
];

function splitRefusal(options: LlamaOptions, law: PlacementRules, gpus: number): string | undefined {
  if (options.splitMode === 'row' && !law['placement.rowSplit'] && gpus > 0) {
    return 'device CUDA0 does not support split buffers';
  }
  if (options.splitMode === 'tensor' && !law['placement.tensorSplit']) return 'invalid value for --split-mode: tensor';
  if (options.mainGpu !== undefined && options.splitMode === 'none' && options.mainGpu >= gpus && gpus > 0) {
    return `invalid value for main_gpu: ${options.mainGpu}`;
  }
  return undefined;
}
