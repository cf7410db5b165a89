// Which blocks slide and which recur, by architecture: the parts of src/models/<architecture>.cpp load_arch_hparams that a size
// depends on, as tables. Everything that a file states by a key is read from the file (read-hparams.ts).

/** How an architecture decides which blocks slide. */
export interface SlidingLaw {
  /** One block in `every` has full attention; 0: all slide. Absent: the file must list the blocks. */
  every?: number;
  /** The first of `every` has full attention, not the last. */
  fullFirst?: boolean;
  /** Window where the file states none; without it such a file has no sliding blocks. */
  window?: number;
  /** Window whatever the file states (0 in the file: no sliding blocks). */
  fixedWindow?: number;
  /** Number of blocks that this holds for (EXAONE 4: the 32B model only). */
  onlyWithLayers?: number;
  /** The blocks of multi-token prediction slide as well. */
  draftToo?: boolean;
}

export const slidingLaws: Readonly<Record<string, SlidingLaw>> = {
  afmoe: { every: 4 },
  cohere2: { every: 4 },
  cohere2moe: { every: 4, fullFirst: true },
  deepseek4: { every: 0, draftToo: true },
  dots3note: {},
  exaone4: { every: 4, window: 4096, onlyWithLayers: 64 },
  'exaone-moe': { every: 4, window: 128 },
  'gemma-embedding': { every: 6 },
  gemma2: { every: 2, window: 4096 },
  gemma3: { every: 6 },
  gemma3n: { every: 5 },
  gemma4: {},
  'gemma4-assistant': {},
  'gpt-oss': { every: 2 },
  granite_swa: {},
  laguna: { every: 4, fullFirst: true },
  llama4: { every: 4, window: 8192, fixedWindow: 8192 },
  maple: {},
  mellum: { every: 4 },
  mimo2: {},
  'modern-bert': { every: 3, fullFirst: true },
  'muse-glimmer': { every: 4 },
  olmo2: { every: 4 },
  plamo3: { every: 8 },
  smallthinker: { every: 4, fullFirst: true, fixedWindow: 4096 },
  spark2_5: {},
  step35: {},
};

/** How an architecture decides which blocks keep a recurrent state. */
export type RecurrentLaw =
  /** Every block. Falcon-H1 has attention beside it in the same block. */
  | { by: 'all' }
  /** Blocks without KV heads. */
  | { by: 'no-kv-heads' }
  /** Blocks with neither KV heads nor a feed-forward part. */
  | { by: 'no-kv-heads-and-no-ffn' }
  /** All but every n-th block, unless attention.recurrent_layers lists them. */
  | { by: 'interval'; every: number };

export const recurrentLaws: Readonly<Record<string, RecurrentLaw>> = {
  mamba: { by: 'all' },
  mamba2: { by: 'all' },
  rwkv6: { by: 'all' },
  rwkv6qwen2: { by: 'all' },
  rwkv7: { by: 'all' },
  arwkv7: { by: 'all' },
  'falcon-h1': { by: 'all' },
  bailingmoe3: { by: 'no-kv-heads' },
  granitehybrid: { by: 'no-kv-heads' },
  jamba: { by: 'no-kv-heads' },
  'kimi-k3': { by: 'no-kv-heads' },
  'kimi-linear': { by: 'no-kv-heads' },
  lfm2: { by: 'no-kv-heads' },
  lfm2moe: { by: 'no-kv-heads' },
  plamo2: { by: 'no-kv-heads' },
  nemotron_h: { by: 'no-kv-heads-and-no-ffn' },
  nemotron_h_moe: { by: 'no-kv-heads-and-no-ffn' },
  'minimax-01': { by: 'interval', every: 8 },
  qwen35: { by: 'interval', every: 4 },
  qwen35moe: { by: 'interval', every: 4 },
  qwen3next: { by: 'interval', every: 4 },
  qwen4exp: { by: 'interval', every: 4 },
};

/** Positions take four integers a token (llama_model_rope_type: MROPE and IMROPE) whatever the file states. */
export const mropeArchitectures: readonly string[] = [
  'paddleocr',
  'qwen2vl',
  'qwen35',
  'qwen35moe',
  'qwen3tts',
  'qwen3vl',
  'qwen3vlmoe',
  'qwen4exp',
];
/** ... and where the file's rope.dimension_sections say so. */
export const mropeBySections: readonly string[] = ['dflash', 'glm4', 'glm4moe', 'hunyuan_vl'];

/** Bidirectional whatever the file states: diffusion models, embeddings of Gemma 3. */
export const neverCausal: readonly string[] = ['dream', 'gemma-embedding', 'llada', 'llada-moe', 'rnd1'];
