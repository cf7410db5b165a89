// general.architecture of a GGUF file -> the architecture class of Hugging Face it was converted from, with what that class's
// configuration states beyond the sizes that all share. Key names: gguf-py/gguf/constants.py; how the converter fills them:
// convert_hf_to_gguf.py of llama.cpp. An architecture that is missing here is planned for llama.cpp alone.
import type { Json, ModelConfig } from '../spec/model.ts';
import type { GgufKeys } from './gguf-keys.ts';

export interface GgufFamily {
  modelType: string;
  architecture: string;
  config?: Partial<ModelConfig>;
}
type FamilyOf = (keys: GgufKeys) => GgufFamily;

const named = (
  modelType: string,
  architecture: string,
  config: (keys: GgufKeys) => Partial<ModelConfig> = () => ({}),
): FamilyOf => {
  return (keys) => ({ modelType, architecture, config: config(keys) });
};

/** Biases of the projections are read off the tensors. */
const biases = (keys: GgufKeys) => ({
  attentionBias: keys.has('blk.0.attn_q.bias'),
  mlpBias: keys.has('blk.0.ffn_up.bias'),
});

const sigmoidGate = 2;

export const ggufFamilies: Readonly<Record<string, FamilyOf>> = {
  llama: (keys) =>
    keys.number('expert_count')
      ? { modelType: 'mixtral', architecture: 'MixtralForCausalLM' }
      : { modelType: 'llama', architecture: 'LlamaForCausalLM', config: biases(keys) },
  mistral3: named('mistral', 'MistralForCausalLM'),
  smollm3: named('smollm3', 'SmolLM3ForCausalLM'),
  seed_oss: named('seed_oss', 'SeedOssForCausalLM', biases),
  granite: named('granite', 'GraniteForCausalLM', biases),
  qwen2: named('qwen2', 'Qwen2ForCausalLM'),
  qwen2moe: named('qwen2_moe', 'Qwen2MoeForCausalLM', sharedWidth),
  qwen3: named('qwen3', 'Qwen3ForCausalLM'),
  qwen3moe: named('qwen3_moe', 'Qwen3MoeForCausalLM'),
  qwen3next: named('qwen3_next', 'Qwen3NextForCausalLM', (keys) => ({ ...deltaNet(keys), ...sharedWidth(keys) })),
  qwen35: named('qwen3_5_text', 'Qwen3_5ForCausalLM', deltaNet),
  qwen35moe: named('qwen3_5_moe_text', 'Qwen3_5MoeForCausalLM', (keys) => ({
    ...deltaNet(keys),
    ...sharedWidth(keys),
  })),
  gemma: named('gemma', 'GemmaForCausalLM'),
  gemma2: named('gemma2', 'Gemma2ForCausalLM'),
  gemma3: named('gemma3_text', 'Gemma3ForCausalLM'),
  gemma4: named('gemma4_text', 'Gemma4ForCausalLM', gemma4),
  phi2: named('phi', 'PhiForCausalLM', (keys) => ({ rope: partialRope(keys) })),
  phi3: named('phi3', 'Phi3ForCausalLM'),
  starcoder2: named('starcoder2', 'Starcoder2ForCausalLM'),
  'command-r': named('cohere', 'CohereForCausalLM', () => ({ tieWordEmbeddings: true })),
  cohere2: named('cohere2', 'Cohere2ForCausalLM', () => ({ tieWordEmbeddings: true })),
  olmo2: (keys) =>
    keys.number('attention.sliding_window')
      ? { modelType: 'olmo3', architecture: 'Olmo3ForCausalLM' }
      : { modelType: 'olmo2', architecture: 'Olmo2ForCausalLM' },
  olmo: named('olmo', 'OlmoForCausalLM'),
  orion: named('orion', 'OrionForCausalLM'),
  stablelm: named('stablelm', 'StableLmForCausalLM', (keys) => ({
    useQkvBias: keys.has('blk.0.attn_q.bias'),
    rope: partialRope(keys),
  })),
  internlm2: named('internlm2', 'InternLM2ForCausalLM'),
  exaone: named('exaone', 'ExaoneForCausalLM'),
  exaone4: named('exaone4', 'Exaone4ForCausalLM'),
  granitemoe: named('granitemoe', 'GraniteMoeForCausalLM'),
  phimoe: named('phimoe', 'PhiMoEForCausalLM', (keys) => ({
    attentionBias: keys.has('blk.0.attn_q.bias') || keys.has('blk.0.attn_output.bias'),
    lmHeadBias: keys.has('output.bias'),
  })),
  'minimax-m2': named('minimax_m2', 'MiniMaxM2ForCausalLM', (keys) => ({
    rotaryDim: keys.number('rope.dimension_count'),
    intermediateSize: keys.number('expert_feed_forward_length'),
  })),
  nemotron_h_moe: named('nemotron_h', 'NemotronHForCausalLM', (keys) => ({
    ...nemotron(keys),
    moeLatentSize: keys.number('moe_latent_size'),
    sharedExperts: keys.number('expert_shared_count'),
    moeSharedExpertIntermediateSize: keys.number('expert_shared_feed_forward_length'),
  })),
  lfm2moe: named('lfm2_moe', 'Lfm2MoeForCausalLM', (keys) => ({
    convLCache: keys.number('shortconv.l_cache'),
    layerTypes: byKvHeads(keys, 'full_attention', 'conv'),
    numDenseLayers: keys.number('leading_dense_block_count'),
    tieWordEmbeddings: true,
  })),
  gpt2: named('gpt2', 'GPT2LMHeadModel'),
  gptneox: named('gpt_neox', 'GPTNeoXForCausalLM', (keys) => ({ rope: partialRope(keys) })),
  falcon: named('falcon', 'FalconForCausalLM', (keys) => ({
    newDecoderArchitecture: keys.has('blk.0.attn_norm_2.weight'),
  })),
  bloom: named('bloom', 'BloomForCausalLM'),
  'ernie4_5-moe': named('ernie4_5_moe', 'Ernie4_5_MoeForCausalLM', (keys) => ({
    sharedExperts: keys.number('expert_shared_count'),
    moeLayerStartIndex: keys.number('leading_dense_block_count'),
  })),
  olmoe: named('olmoe', 'OlmoeForCausalLM'),
  glm4: named('glm4', 'Glm4ForCausalLM', (keys) => ({ ...biases(keys), rope: partialRope(keys) })),
  glm4moe: named('glm4_moe', 'Glm4MoeForCausalLM', glm4moe),
  deepseek2,
  'gpt-oss': named('gpt_oss', 'GptOssForCausalLM'),
  mamba: (keys) =>
    keys.flag('ssm.dt_b_c_rms') === true
      ? { modelType: 'falcon_mamba', architecture: 'FalconMambaForCausalLM', config: mamba1(keys) }
      : { modelType: 'mamba', architecture: 'MambaForCausalLM', config: mamba1(keys) },
  'falcon-h1': named('falcon_h1', 'FalconH1ForCausalLM', mamba2),
  granitehybrid: named('granitemoehybrid', 'GraniteMoeHybridForCausalLM', (keys) => ({
    ...mamba2(keys),
    sharedIntermediateSize: keys.number('expert_shared_feed_forward_length') ?? keys.most('feed_forward_length'),
    layerTypes: byKvHeads(keys, 'attention', 'mamba'),
  })),
  nemotron_h: named('nemotron_h', 'NemotronHForCausalLM', nemotron),
  lfm2: named('lfm2', 'Lfm2ForCausalLM', (keys) => ({
    convLCache: keys.number('shortconv.l_cache'),
    layerTypes: byKvHeads(keys, 'full_attention', 'conv'),
    blockAutoAdjustFfDim: false,
    tieWordEmbeddings: true,
  })),
};

function sharedWidth(keys: GgufKeys): Partial<ModelConfig> {
  return { sharedExpertIntermediateSize: keys.number('expert_shared_feed_forward_length'), decoderSparseStep: 1 };
}

function partialRope(keys: GgufKeys): ModelConfig['rope'] {
  const head = (keys.number('embedding_length') ?? 0) / (keys.most('attention.head_count') ?? 1);
  const width = keys.number('attention.key_length') ?? head;
  const theta = keys.number('rope.freq_base');
  return {
    ...(theta === undefined ? {} : { theta }),
    partialRotaryFactor: (keys.number('rope.dimension_count') ?? width) / width,
  };
}

/** A layer without K and V heads keeps a state. */
function byKvHeads(keys: GgufKeys, attention: string, other: string): string[] | undefined {
  return keys.list('attention.head_count_kv')?.map((heads) => (heads > 0 ? attention : other));
}

/** Full layers have heads of another size and number, in some models no V; the E models widen the layers that share a cache. */
function gemma4(keys: GgufKeys): Partial<ModelConfig> {
  const slides = keys.flags('attention.sliding_window_pattern') ?? [];
  const kvHeads = keys.list('attention.head_count_kv') ?? slides.map(() => keys.number('attention.head_count_kv') ?? 1);
  const widths = keys.list('feed_forward_length') ?? [keys.number('feed_forward_length') ?? 0];
  const full = slides.indexOf(false);
  return {
    headDim: keys.number('attention.key_length_swa'),
    globalHeadDim: keys.number('attention.key_length'),
    kvHeads: kvHeads[slides.indexOf(true)],
    numGlobalKeyValueHeads: kvHeads[full],
    attentionKEqV: full >= 0 && !keys.has(`blk.${full}.attn_v.weight`),
    layerTypes: slides.map((sliding) => (sliding ? 'sliding_attention' : 'full_attention')),
    intermediateSize: Math.min(...widths),
    useDoubleWideMlp: new Set(widths).size > 1,
    numKvSharedLayers: keys.number('attention.shared_kv_layers') ?? 0,
    hiddenSizePerLayerInput: keys.number('embedding_length_per_layer_input') ?? 0,
    enableMoeBlock: (keys.number('expert_count') ?? 0) > 0,
  };
}

/** Gated delta net: ssm.* in the words of Mamba. */
function deltaNet(keys: GgufKeys): Partial<ModelConfig> {
  const valueHeads = keys.number('ssm.time_step_rank') ?? 1;
  return {
    fullAttentionInterval: keys.number('full_attention_interval') ?? 4,
    linearConvKernelDim: keys.number('ssm.conv_kernel'),
    linearKeyHeadDim: keys.number('ssm.state_size'),
    linearNumKeyHeads: keys.number('ssm.group_count'),
    linearNumValueHeads: valueHeads,
    linearValueHeadDim: (keys.number('ssm.inner_size') ?? 0) / valueHeads,
    rope: partialRope(keys),
  };
}

function mamba1(keys: GgufKeys): Partial<ModelConfig> {
  return {
    convKernel: keys.number('ssm.conv_kernel'),
    stateSize: keys.number('ssm.state_size'),
    timeStepRank: keys.number('ssm.time_step_rank'),
    intermediateSize: keys.number('ssm.inner_size'),
  };
}

/** Where the inner width is stated as such, a ratio that is not whole says nothing. */
function whole(ratio: number): number | undefined {
  return Number.isInteger(ratio) ? ratio : undefined;
}

function mamba2(keys: GgufKeys): Partial<ModelConfig> {
  const heads = keys.number('ssm.time_step_rank') ?? 1;
  const inner = keys.number('ssm.inner_size') ?? 0;
  return {
    mambaDConv: keys.number('ssm.conv_kernel'),
    mambaDState: keys.number('ssm.state_size'),
    mambaDSsm: inner,
    mambaExpand: whole(inner / (keys.number('embedding_length') ?? 1)),
    mambaNGroups: keys.number('ssm.group_count'),
    mambaNHeads: heads,
    mambaDHead: inner / heads,
    mambaRmsNorm: keys.has('blk.0.ssm_norm.weight'),
  };
}

/** One sort of mixer a block: M Mamba-2, * attention, - MLP, E experts. */
function nemotron(keys: GgufKeys): Partial<ModelConfig> {
  const kvHeads = keys.list('attention.head_count_kv') ?? [];
  const widths = keys.list('feed_forward_length') ?? [];
  const heads = keys.number('ssm.time_step_rank') ?? 1;
  const sort = (_: unknown, block: number) => {
    if ((kvHeads[block] ?? 0) > 0) return '*';
    if (keys.has(`blk.${block}.ffn_gate_inp.weight`)) return 'E';
    return (widths[block] ?? 0) > 0 ? '-' : 'M';
  };
  return {
    hybridOverridePattern: Array.from({ length: keys.layers }, sort).join(''),
    convKernel: keys.number('ssm.conv_kernel'),
    ssmStateSize: keys.number('ssm.state_size'),
    nGroups: keys.number('ssm.group_count'),
    mambaNumHeads: heads,
    mambaHeadDim: (keys.number('ssm.inner_size') ?? 0) / heads,
  };
}

function glm4moe(keys: GgufKeys): Partial<ModelConfig> {
  return {
    attentionBias: keys.has('blk.0.attn_q.bias'),
    useQkNorm: keys.has('blk.0.attn_q_norm.weight'),
    firstKDenseReplace: keys.number('leading_dense_block_count'),
    sharedExperts: keys.number('expert_shared_count'),
    rope: partialRope(keys),
  };
}

/** DeepSeek V2 and V3, Kimi K2: the gate tells V3's correction bias; head sizes are those before the absorption. */
function deepseek2(keys: GgufKeys): GgufFamily {
  const v3 = keys.number('expert_gating_func') === sigmoidGate;
  const ropeDim = keys.number('rope.dimension_count') ?? 64;
  const key = keys.number('attention.key_length_mla') ?? keys.number('attention.key_length');
  const config: Record<string, Json | undefined> = {
    kvHeads: keys.most('attention.head_count'),
    headDim: undefined,
    kvLoraRank: keys.number('attention.kv_lora_rank'),
    qLoraRank: keys.number('attention.q_lora_rank'),
    qkRopeHeadDim: ropeDim,
    qkNopeHeadDim: key === undefined ? undefined : key - ropeDim,
    vHeadDim: keys.number('attention.value_length_mla') ?? keys.number('attention.value_length'),
    sharedExperts: keys.number('expert_shared_count'),
    firstKDenseReplace: keys.number('leading_dense_block_count'),
    moeLayerFreq: 1,
    topkMethod: v3 ? 'noaux_tc' : 'greedy',
  };
  return {
    modelType: v3 ? 'deepseek_v3' : 'deepseek_v2',
    architecture: v3 ? 'DeepseekV3ForCausalLM' : 'DeepseekV2ForCausalLM',
    config: config as Partial<ModelConfig>,
  };
}
