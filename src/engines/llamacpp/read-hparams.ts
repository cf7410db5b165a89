// Metadata -> LlamaHparams, as llama-model.cpp load_hparams and the architecture's load_arch_hparams read it (v0.5.0; what older
// builds did otherwise is a matter of their rules, not of the file).
import type { GgufModel } from '../../spec/gguf.ts';
import type { LlamaHparams } from './hparams.ts';
import {
  mropeArchitectures,
  mropeBySections,
  neverCausal,
  recurrentLaws,
  type SlidingLaw,
  slidingLaws,
} from './hparams-layers.ts';

/** What llama.cpp knows of a model before it builds anything. Keys that the file lacks take the loader's own defaults. */
export function readHparams(model: GgufModel): LlamaHparams {
  const keys = new Metadata(model);
  const { architecture } = model;
  const layers = keys.number('block_count');
  const nextnLayers = draftLayers(model, keys, layers);
  const embd = keys.number('embedding_length');
  const heads = keys.perLayer('attention.head_count', layers) ?? zeros(layers);
  const kvHeads = keys.perLayer('attention.head_count_kv', layers) ?? heads;
  const feedForward = keys.perLayer('feed_forward_length', layers) ?? zeros(layers);
  const { window, sliding } = slidingBlocks(architecture, keys, layers - nextnLayers, layers);
  const { keyLength, valueLength, ropeDim } = headSizes({ architecture, keys, embd, heads, sliding });
  const kvLoraRank = keys.number('attention.kv_lora_rank');
  const qLoraRank = keys.number('attention.q_lora_rank');
  const mlaKey = keys.number('attention.key_length_mla');
  const mlaValue = keys.number('attention.value_length_mla');
  const kdaHeadDim = keys.number('kda.head_dim');
  const wkvHeadSize = keys.number('wkv.head_size');
  const shortConv = keys.number('shortconv.l_cache');
  const recurrent = recurrentBlocks({ architecture, keys, layers, main: layers - nextnLayers, kvHeads, feedForward });
  const experts = readExperts(keys, layers, feedForward);
  const ssm = readSsm(keys);
  const indexer = readIndexer(architecture, keys, layers);
  const compressRatios = keys.numbers('attention.compress_ratios')?.slice(0, layers);
  return {
    architecture,
    layers,
    nextnLayers,
    contextLength: keys.number('context_length'),
    embd,
    vocab: model.vocabSize,
    heads,
    kvHeads,
    keyLength,
    valueLength,
    feedForward,
    ropeDim,
    mrope: hasMrope(architecture, keys),
    causal: !neverCausal.includes(architecture) && keys.flag('attention.causal', true),
    window,
    sliding,
    recurrent,
    kvFromStart: kvFromStart(architecture, keys, layers),
    ...(ssm && { ssm }),
    ...(shortConv > 0 && { shortConv }),
    ...(wkvHeadSize > 0 && {
      wkv: { headSize: wkvHeadSize, tokenShiftCount: keys.number('token_shift_count', 2) },
    }),
    ...(kdaHeadDim > 0 && { kda: { headDim: kdaHeadDim } }),
    ...(architecture === 'minimax-01' && { linearAttention: { headDim: keyLength[0] ?? 0 } }),
    ...(experts && { experts }),
    ...(mlaKey > 0 && mlaValue > 0 && { mla: { kvLoraRank, qLoraRank, keyLength: mlaKey, valueLength: mlaValue } }),
    ...(kvLoraRank > 0 && mlaKey === 0 && { expandedMla: { kvLoraRank, qLoraRank } }),
    ...(indexer && { indexer }),
    ...(compressRatios && { compressRatios }),
    perLayerEmbedding: keys.number('embedding_length_per_layer_input'),
    fullAttentionInterval: fullAttentionInterval(architecture, keys),
  };
}

function zeros(count: number): number[] {
  return Array.from({ length: count }, () => 0);
}

/** DeepSeek-V4 files that announce prediction blocks may lack their tensors; the loader then takes none. */
function draftLayers(model: GgufModel, keys: Metadata, layers: number): number {
  const announced = keys.number('nextn_predict_layers');
  if (model.architecture !== 'deepseek4' || announced === 0) return announced;
  const probe = `blk.${layers - announced}.nextn.eh_proj.weight`;
  return model.tensors.some((tensor) => tensor.name === probe) ? announced : 0;
}

function slidingBlocks(
  architecture: string,
  keys: Metadata,
  main: number,
  layers: number,
): { window: number; sliding: boolean[] } {
  const none = { window: 0, sliding: zeros(layers).map(() => false) };
  // LFM2 with a window: every attention block slides (lfm2.cpp).
  if (architecture === 'lfm2' && keys.number('attention.sliding_window') > 0) {
    const kvHeads = keys.perLayer('attention.head_count_kv', layers) ?? [];
    return { window: keys.number('attention.sliding_window'), sliding: kvHeads.map((n, i) => i < main && n > 0) };
  }
  const law: SlidingLaw | undefined = slidingLaws[architecture];
  if (!law || (law.onlyWithLayers !== undefined && law.onlyWithLayers !== main)) return none;
  const stated = keys.number('attention.sliding_window', law.window ?? 0);
  if (stated === 0) return none;
  const window = law.fixedWindow ?? stated;
  const listed = keys.flags('attention.sliding_window_pattern');
  if (listed) return { window, sliding: none.sliding.map((_, i) => listed[i] ?? false) };
  const every = keys.number('attention.sliding_window_pattern', law.every ?? 1);
  const slides = (block: number) => {
    if (block >= main) return law.draftToo === true;
    if (every === 0) return true;
    return law.fullFirst ? block % every !== 0 : block % every < every - 1;
  };
  return { window, sliding: none.sliding.map((_, i) => slides(i)) };
}

interface HeadSizeInput {
  architecture: string;
  keys: Metadata;
  embd: number;
  heads: readonly number[];
  sliding: readonly boolean[];
}

function headSizes({ architecture, keys, embd, heads, sliding }: HeadSizeInput) {
  const first = heads[0] ?? 0;
  // Models without attention have no head sizes; PLaMo 2 states them though its first block recurs (plamo2.cpp).
  const usual = first > 0 ? Math.floor(embd / first) : 0;
  const read = (key: string) => (first > 0 || architecture === 'plamo2' ? keys.number(key, usual) : 0);
  const key = read('attention.key_length');
  const value = architecture === 'kimi-k3' ? keys.number('attention.kv_lora_rank') : read('attention.value_length');
  const slidingKey = keys.number('attention.key_length_swa', key);
  const slidingValue = keys.number('attention.value_length_swa', value);
  const stated = first > 0 ? keys.number('rope.dimension_count', key) : 0;
  return {
    keyLength: heads.map((_, i) => (sliding[i] ? slidingKey : key)),
    valueLength: heads.map((_, i) => (sliding[i] ? slidingValue : value)),
    // Step 3.5: full-attention blocks rotate half (step35.cpp).
    ropeDim: architecture === 'step35' ? Math.floor(stated / 2) : stated,
  };
}

interface RecurrentInput {
  architecture: string;
  keys: Metadata;
  layers: number;
  main: number;
  kvHeads: readonly number[];
  feedForward: readonly number[];
}

function recurrentBlocks(input: RecurrentInput): boolean[] {
  const { architecture, keys, layers, main, kvHeads, feedForward } = input;
  const law = recurrentLaws[architecture];
  const blocks = zeros(layers).map((_, i) => i);
  if (!law) return blocks.map(() => false);
  switch (law.by) {
    case 'all':
      return blocks.map(() => true);
    case 'no-kv-heads':
      return blocks.map((i) => i < main && kvHeads[i] === 0);
    case 'no-kv-heads-and-no-ffn':
      return blocks.map((i) => i < main && kvHeads[i] === 0 && feedForward[i] === 0);
    case 'interval': {
      const listed = keys.flags('attention.recurrent_layers');
      if (listed) return blocks.map((i) => listed[i] ?? false);
      const every = keys.number('full_attention_interval', law.every);
      return blocks.map((i) => i < main && (i + 1) % every !== 0);
    }
  }
}

function fullAttentionInterval(architecture: string, keys: Metadata): number {
  const law = recurrentLaws[architecture];
  return law?.by === 'interval' ? keys.number('full_attention_interval', law.every) : 0;
}

function hasMrope(architecture: string, keys: Metadata): boolean {
  if (mropeArchitectures.includes(architecture)) return true;
  const sections = keys.numbers('rope.dimension_sections');
  return mropeBySections.includes(architecture) && (sections?.[0] ?? 0) > 0 && (sections?.[1] ?? 0) > 0;
}

/** Gemma 3n: the first 20 blocks have a cache, by the loader's own constant (gemma3n.cpp). */
function kvFromStart(architecture: string, keys: Metadata, layers: number): number {
  if (architecture === 'gemma3n') return 20;
  if (architecture === 'gemma4') return layers - keys.number('attention.shared_kv_layers');
  return layers;
}

function readSsm(keys: Metadata): LlamaHparams['ssm'] {
  const conv = keys.number('ssm.conv_kernel');
  if (conv === 0) return undefined;
  return {
    conv,
    inner: keys.number('ssm.inner_size'),
    state: keys.number('ssm.state_size'),
    timeStepRank: keys.number('ssm.time_step_rank'),
    groups: keys.number('ssm.group_count'),
    normBcDt: keys.flag('ssm.dt_b_c_rms', false),
  };
}

function readExperts(keys: Metadata, layers: number, dense: readonly number[]): LlamaHparams['experts'] {
  const count = keys.number('expert_count');
  if (count === 0) return undefined;
  const used = Math.max(...(keys.perLayer('expert_used_count', layers) ?? [0]));
  const stated = Math.max(...(keys.perLayer('expert_feed_forward_length', layers) ?? [0]));
  const feedForward = stated > 0 ? stated : Math.max(...dense);
  const shared = keys.number('expert_shared_count') * feedForward;
  return {
    count,
    used,
    feedForward,
    sharedFeedForward: keys.number('expert_shared_feed_forward_length', shared),
    leadingDense: keys.number('leading_dense_block_count'),
  };
}

function readIndexer(architecture: string, keys: Metadata, layers: number): LlamaHparams['indexer'] {
  const heads = keys.number('attention.indexer.head_count');
  if (heads === 0) return undefined;
  return {
    heads,
    keyLength: keys.number('attention.indexer.key_length'),
    topK: keys.number('attention.indexer.top_k'),
    full: fullIndexers(architecture, keys, layers),
  };
}

/** GLM-5.2 (a million tokens) has an indexer in blocks 0, 1, 2 and every fourth after that where the file does not list them. */
function fullIndexers(architecture: string, keys: Metadata, layers: number): boolean[] {
  const listed = keys.flags('attention.indexer.types');
  const shares = architecture === 'glm-dsa' && keys.number('context_length') >= 2 ** 20;
  return zeros(layers).map((_, i) => listed?.[i] ?? (!shares || i < 2 || (i - 2) % 4 === 0));
}

/** Metadata by key, with llama-model-loader's get_key, get_arr and get_key_or_arr. */
class Metadata {
  private readonly values: GgufModel['metadata'];

  constructor(model: GgufModel) {
    this.values = model.metadata;
  }

  number(key: string, fallback = 0): number {
    const value = this.values[key];
    return typeof value === 'number' ? value : fallback;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.values[key];
    return typeof value === 'boolean' ? value : fallback;
  }

  numbers(key: string): readonly number[] | undefined {
    const value = this.values[key];
    return Array.isArray(value) ? value.map(Number) : undefined;
  }

  flags(key: string): readonly boolean[] | undefined {
    return this.numbers(key)?.map((value) => value !== 0);
  }

  /** One value for all blocks, or a value per block. */
  perLayer(key: string, layers: number): number[] | undefined {
    const value = this.values[key];
    if (typeof value === 'number') return zeros(layers).map(() => value);
    return this.numbers(key)?.slice(0, layers);
  }
}
