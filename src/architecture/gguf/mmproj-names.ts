// Names of a vision or audio tower's tensors in a projector file, and which of them keep a type of their own. Law:
// gguf-py/gguf/tensor_mapping.py (V_*, A_*), conversion/*.py (modify_tensors, tensor_force_quant of v0.5.0).

/** Modules of a block, by what follows its number. Where two towers use one word differently, the longer key decides. */
const blockModules: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_out',
  'self_attn.out_proj': 'attn_out',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'attention.q_proj': 'attn_q',
  'attention.k_proj': 'attn_k',
  'attention.v_proj': 'attn_v',
  'attention.o_proj': 'attn_out',
  'attn.q': 'attn_q',
  'attn.k': 'attn_k',
  'attn.v': 'attn_v',
  'attn.qkv': 'attn_qkv',
  'attn.proj': 'attn_out',
  wqkv: 'attn_qkv',
  wo: 'attn_out',
  norm0: 'ln1',
  norm1: 'ln1',
  norm2: 'ln2',
  layer_norm1: 'ln1',
  layer_norm2: 'ln2',
  attention_norm: 'ln1',
  ffn_norm: 'ln2',
  input_layernorm: 'ln1',
  pre_feedforward_layernorm: 'ln2',
  post_attention_layernorm: 'attn_post_norm',
  post_feedforward_layernorm: 'ffn_post_norm',
  ls1: 'ls1',
  ls2: 'ls2',
  'mlp.fc0': 'ffn_up',
  'mlp.fc1': 'ffn_up',
  'mlp.fc2': 'ffn_down',
  'mlp.linear_fc1': 'ffn_up',
  'mlp.linear_fc2': 'ffn_down',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  'feed_forward.gate_proj': 'ffn_gate',
  'feed_forward.up_proj': 'ffn_up',
  'feed_forward.down_proj': 'ffn_down',
};

/** Moonshot's blocks count their norms and their network from 0. */
const fromZero: Readonly<Record<string, string>> = { norm1: 'ln2', 'mlp.fc1': 'ffn_down' };

/** What these classes call the first linear layer of the projector. */
const firstLinear: Readonly<Record<string, string>> = {
  Llama4ForConditionalGeneration: 'mm.model.fc',
  LlavaForConditionalGeneration: 'mm.0',
};

/** Modules outside the blocks, by the end of their name. */
const rootModules: readonly (readonly [RegExp, string])[] = [
  [
    /(?:patch_embedding(?:\.linear)?|patch_conv|patch_embed\.proj|patch_embedder\.input_proj|patch_dense)$/,
    'v.patch_embd',
  ],
  [/(?:position_embedding(?:_table)?|positional_embedding_vlm|pos_embed(?:ding)?|pos_emb)$/, 'v.position_embd'],
  [/class_embedding$/, 'v.class_embd'],
  [/(?:pre_layrnorm|ln_pre|layernorm_pre)$/, 'v.pre_ln'],
  [/post_conv_layernorm$/, 'v.norm_embd'],
  [/(?:post_layernorm|layernorm_post|final_layernorm|merger\.ln_q|merger\.norm)$/, 'v.post_ln'],
  [/patch_ln([12])$/, 'v.patch_norm.$1'],
  [/vision_embedder\.pos_norm$/, 'v.patch_norm.3'],
  [/vision_tower\.std_(bias|scale)$/, 'v.std_$1'],
  [/(?:merging_layer|visual\.downsample)$/, 'mm.patch_merger'],
  [/(?:merger\.mlp\.0|merger\.linear_fc1)$/, 'mm.0'],
  [/(?:merger\.mlp\.2|merger\.linear_fc2)$/, 'mm.2'],
  [/merger\.(gate|up|down)_proj$/, 'mm.$1'],
  [/merger\.post_projection_norm$/, 'mm.post_norm'],
  [/merger\.proj$/, 'mm.model.fc'],
  [/^patch_merge_mlp\.linear_([12])$/, 'mm.merger.fc$1'],
  [/vision_adapter\.mlp\.fc([12])$/, 'mm.model.mlp.$1'],
  [/^mlp1\.(\d)$/, 'mm.model.mlp.$1'],
  [/^mm_projector\.proj\.0$/, 'mm.1'],
  [/^mm_projector\.proj\.2$/, 'mm.2'],
  [/^mm_projector\.(?:pre_)?norm$/, 'mm.input_norm'],
  [/^mm_projector\.post_norm$/, 'mm.post_norm'],
  [/^multi_modal_projector\.norm$/, 'mm.input_norm'],
  [/mm_input_projection(?:_weight)?$/, 'mm.input_projection'],
  [/mm_soft_emb_norm$/, 'mm.soft_emb_norm'],
  [/embed_vision\.embedding_projection$/, 'mm.input_projection'],
  [/embed_audio\.embedding_projection$/, 'mm.a.input_projection'],
  [/^multi_modal_projector\.linear_([12])$/, 'mm.$1'],
];

/** Name in the projector file; `{layer}` becomes the block's number. Undefined: not one of a tower that is converted. */
export function projectorName(name: string, architecture: string): string | undefined {
  if (name.includes('audio_tower')) return undefined;
  const { inner, block } = parts(name.replace(/^model\.(?=vision_tower|visual|multi_modal)/, ''));
  const match = /^(.+?)(\.weight|\.bias|\.(?:in|out)put_(?:min|max))?$/.exec(inner);
  const [module, suffix] = [match?.[1] ?? inner, match?.[2] ?? suffixOf(inner)];
  const bare = module.replace(/\.linear$/, '');
  if (block === undefined) {
    const first = firstLinear[architecture];
    if (first !== undefined && module === 'multi_modal_projector.linear_1') return `${first}${suffix}`;
    for (const [pattern, target] of rootModules) {
      const found = pattern.exec(module);
      if (found) return `${target.replace('$1', found[1] ?? '')}${suffix}`;
    }
    return undefined;
  }
  if (name.includes('deepstack_merger_list')) return deepstackName(inner);
  const llama4 = architecture === 'Llama4ForConditionalGeneration' && bare === 'post_attention_layernorm';
  const special = llama4 ? 'ln2' : /^Kimi/.test(architecture) ? fromZero[bare] : undefined;
  const target = special ?? blockModules[bare];
  return target && `v.blk.${block}.${target}${suffix}`;
}

/** The block that a tensor is of, and the rest of its name; towers number their blocks as layers, blocks or resblocks. */
function parts(name: string): { inner: string; block?: string } {
  const match = /^.*?\.(?:layers|blocks|resblocks|deepstack_merger_list)\.(\{layer\}|\d+)\.(.+)$/.exec(name);
  return match ? { block: match[1]!, inner: match[2]! } : { inner: name };
}

/** Parameters without a suffix of their own that the converter calls weights. */
function suffixOf(inner: string): string {
  return /(?:position_embedding(?:_table)?|positional_embedding_vlm|pos_embedding|_weight|ls[12])$/.test(inner)
    ? '.weight'
    : '';
}

/** Mergers of Qwen3-VL beside the last one; their number among the blocks does not matter here. */
function deepstackName(inner: string): string {
  return `v.deepstack.{layer}.${inner.replace('linear_fc', 'fc')}`;
}
