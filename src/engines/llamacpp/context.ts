// Options -> the context's parameters (cparams) of a build: padding, division among sequences, batch sizes, flash attention, and
// what the build refuses. Law: src/llama-context.cpp (llama_init_from_model and the constructor), tools/server/server.cpp for the
// server's defaults; what changed from build to build is in presets/engines/llamacpp/context.yaml.
import { type GgmlType, ggmlTypes, isQuantized } from '../../spec/ggml-types.ts';
import { alignUp, divCeil } from '../../units.ts';
import { architectureRefusal } from './architectures.ts';
import { autoFlash, type CacheTypes, flashMode, keepsKeysOnly } from './flash-attention.ts';
import type { LlamaHparams } from './hparams.ts';
import { attentionLayers, type MemoryKind, memoryKind } from './layers.ts';
import type { LlamaRules } from './rules.ts';
import { speculationOf } from './speculation.ts';
import type { ContextParams, FlashAttention, LlamaOptions, Placement } from './types.ts';

interface ContextRules {
  'context.defaultTokens': number;
  'context.padding': { flash: number; plain: number };
  'context.paddingWhen': 'beforeBatch' | 'attentionCache' | 'afterBatch';
  'context.leastBatch': number;
  'context.streams': 'one' | 'roundUp' | 'roundDown';
  'context.hybridStreams': 'share' | 'whole';
  'context.slots': { count: number; unified: boolean };
  'context.embeddingBatch': 'asGiven' | 'ubatch';
  'context.serverOutputs': 'batch' | 'slots';
  'context.mostSequences': number;
  'context.quantizedV': 'auto' | 'flash';
  'context.wholeBlocks': readonly FlashAttention[];
  'context.mlaOneType': boolean;
  'context.absorbedMla': boolean;
  'context.unwritableTypes': readonly GgmlType[];
}

export interface ContextInput {
  options: LlamaOptions;
  hparams: LlamaHparams;
  rules: LlamaRules;
  /** Where the layers lie; -fa auto asks whether each layer's device can. Absent: all on GPUs. */
  placement?: Pick<Placement, 'layers'>;
  /** What -fa auto ends as, where a scheduler's simulation has told; absent: by the kernels that the build has. */
  autoFlash?: boolean;
}

export interface ContextResult {
  context: ContextParams;
  /** Why the build would not start, in its own words. */
  refusal?: string;
  notes: string[];
  /** What -fa auto became; undefined where auto had nothing to decide. */
  autoFlash?: boolean;
}

/** Models with an encoder: every row of a batch may be output, whatever is asked (llama_model_has_encoder). */
const withEncoder: readonly string[] = ['t5', 't5encoder'];

const defaultBatch = 2048;
const defaultUbatch = 512;

/** cparams as the build's constructor leaves them. n_ctx, batches and outputs are tokens. */
export function contextParams(input: ContextInput): ContextResult {
  const { options, hparams, rules } = input;
  const law = rules as unknown as ContextRules;
  const notes: string[] = [];
  const types = { typeK: options.cacheTypeK ?? 'f16', typeV: options.cacheTypeV ?? 'f16' } as const;
  const flash = resolveFlash(input, types);
  const slots = sequences(options, law);
  const size = sizes(input, { mode: flash.mode, kind: memoryKind(hparams, rules), ...slots });
  const causal = hparams.causal;
  const embeddings = options.embedding ?? false;
  const encodes = withEncoder.includes(hparams.architecture);
  const capped = options.program !== 'llama-cli' && law['context.serverOutputs'] === 'slots' && !embeddings && !encodes;
  const { tokens, rollback } = speculationOf(options, hparams, rules);
  const context: ContextParams = {
    ...size,
    nSeqMax: slots.nSeqMax,
    kvUnified: slots.kvUnified,
    flashAttn: flash.on,
    transposedV: flash.mode === 'off',
    ...types,
    offloadKqv: !options.noKvOffload,
    opOffload: !options.noOpOffload,
    swaFull: options.swaFull ?? false,
    embeddings,
    causal,
    nOutputsMax: capped ? Math.max(1, Math.min(size.nBatch, slots.nSeqMax * (1 + tokens))) : size.nBatch,
    ...(rollback > 0 && { nRsSeq: rollback }),
  };
  const architecture = architectureRefusal(hparams.architecture, rules);
  if (architecture.note) notes.push(architecture.note);
  const refusal =
    architecture.refusal ??
    (slots.nSeqMax > law['context.mostSequences']
      ? `n_seq_max must be <= ${law['context.mostSequences']}`
      : cacheRefusal(input, types, flash));
  return { context, ...(refusal && { refusal }), notes, ...(flash.auto !== undefined && { autoFlash: flash.auto }) };
}

function sequences(options: LlamaOptions, law: ContextRules): { nSeqMax: number; kvUnified: boolean } {
  const { count, unified } = law['context.slots'];
  const server = options.program !== 'llama-cli';
  const nSeqMax = options.parallel ?? (server ? count : 1);
  const auto = options.parallel === undefined && server && unified;
  const kvUnified = law['context.streams'] === 'one' || (options.kvUnified ?? auto);
  return { nSeqMax, kvUnified };
}

interface SizeInput {
  mode: FlashAttention;
  kind: MemoryKind;
  nSeqMax: number;
  kvUnified: boolean;
}

/** n_ctx, its division among streams, n_batch and n_ubatch, in the order in which the build pads and limits them. */
function sizes(
  { options, hparams, rules }: ContextInput,
  { mode, kind, nSeqMax, kvUnified }: SizeInput,
): Pick<ContextParams, 'nCtx' | 'nCtxSeq' | 'nBatch' | 'nUbatch' | 'nStream'> {
  const law = rules as unknown as ContextRules;
  const when = law['context.paddingWhen'];
  // The cache is made before `auto` is decided: it counts as on.
  const pad = law['context.padding'][mode === 'off' ? 'plain' : 'flash'];
  const asked = options.ctxSize ?? law['context.defaultTokens'];
  const wanted = asked === 0 ? hparams.contextLength : asked;
  const first = when === 'beforeBatch' ? alignUp(wanted, pad) : wanted;
  const ubatch = options.ubatch ?? defaultUbatch;
  const serves = options.embedding && options.program !== 'llama-cli' && law['context.embeddingBatch'] === 'ubatch';
  const batch = serves ? Math.min(options.batch ?? defaultBatch, ubatch) : (options.batch ?? defaultBatch);
  const limited = hparams.causal ? Math.min(first, batch) : batch;
  const nBatch = Math.max(limited, law['context.leastBatch']);
  const nUbatch = Math.min(nBatch, ubatch === 0 ? batch : ubatch);
  const nStream = kvUnified ? 1 : nSeqMax;
  const padded = when === 'afterBatch' || kind === 'attention' || kind === 'hybrid' ? alignUp(first, pad) : first;
  const whole = kind === 'hybrid' && law['context.hybridStreams'] === 'whole';
  const undivided = when === 'attentionCache' && (kind === 'none' || kind === 'recurrent');
  if (kvUnified || whole || undivided) return { nCtx: padded, nCtxSeq: padded, nBatch, nUbatch, nStream };
  const share = law['context.streams'] === 'roundUp' ? divCeil(first, nSeqMax) : Math.floor(padded / nSeqMax);
  const nCtxSeq = alignUp(share, pad);
  return { nCtx: nCtxSeq * nSeqMax, nCtxSeq, nBatch, nUbatch, nStream };
}

interface Flash {
  mode: FlashAttention;
  on: boolean;
  auto?: boolean;
}

function resolveFlash(input: ContextInput, types: CacheTypes): Flash {
  const { options, hparams, rules, placement } = input;
  const law = rules as unknown as ContextRules;
  const asked = flashMode(options, hparams, rules);
  const means = isQuantized(types.typeV) && law['context.quantizedV'] === 'flash' ? 'on' : 'auto';
  const mode = options.splitMode === 'tensor' && asked === 'auto' ? 'on' : asked === 'auto' ? means : asked;
  if (mode !== 'auto') return { mode, on: mode === 'on' };
  const layers = placement?.layers ?? hparams.heads.map(() => 0);
  const where = { offloadKqv: !options.noKvOffload, opOffload: !options.noOpOffload };
  const auto = input.autoFlash ?? autoFlash({ ...where, hparams, types, placement: { layers }, rules });
  return { mode, on: auto, auto };
}

function cacheRefusal(
  { options, hparams, rules, placement }: ContextInput,
  types: CacheTypes,
  flash: Flash,
): string | undefined {
  const law = rules as unknown as ContextRules;
  const { typeK, typeV } = types;
  if (hparams.mla && !law['context.absorbedMla']) return `missing tensor 'blk.0.attn_kv_b.weight'`;
  if (options.splitMode === 'tensor' && flash.mode === 'off') {
    return 'SPLIT_MODE_TENSOR requires flash_attn to be enabled';
  }
  if (keepsKeysOnly(hparams) && typeK !== typeV && law['context.mlaOneType']) {
    return `model does not support different K (${typeK}) and V (${typeV}) cache types`;
  }
  if (isQuantized(typeV) && !flash.on) {
    return flash.mode === 'off'
      ? 'quantized V cache requires flash_attn to be enabled'
      : 'quantized V cache was requested, but this requires Flash Attention';
  }
  const onGpu = !options.noKvOffload && attentionLayers(hparams, rules).some((il) => placement?.layers[il] !== 'cpu');
  const unwritable = onGpu && [typeK, typeV].find((type) => law['context.unwritableTypes'].includes(type));
  if (unwritable) return `a cache of type ${unwritable} is in a buffer (CUDA0) that cannot run the operation (CPY)`;
  // A row of the cache is whole blocks in any case, a head where the build looks at it.
  const wholeHeads = law['context.wholeBlocks'].includes(flash.mode);
  for (const il of attentionLayers(hparams, rules)) {
    const heads = wholeHeads ? 1 : (hparams.kvHeads[il] ?? 0);
    const key = heads * (hparams.keyLength[il] ?? 0);
    const value = heads * (hparams.valueLength[il] ?? 0);
    if (key % ggmlTypes[typeK].block !== 0) return blockRefusal('K', typeK, key);
    if (value % ggmlTypes[typeV].block !== 0) return blockRefusal('V', typeV, value);
  }
  return undefined;
}

function blockRefusal(name: 'K' | 'V', type: CacheTypes['typeK'], size: number): string {
  const head = `n_embd_head_${name.toLowerCase()}=${size}`;
  return `${name} cache type ${type} with block size ${ggmlTypes[type].block} does not divide ${head}`;
}
