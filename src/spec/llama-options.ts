// llama-server's options as one table: how each is spelled, what it means, how its value is read. The command line, an existing
// llama-server line and the generated one all go by it. Source: common/arg.cpp, tools/server/README.md.
import { inputError } from '../diagnostics.ts';
import { parseCount } from './count.ts';
import type { GgmlType } from './ggml-types.ts';

export const flashAttentionModes = ['on', 'off', 'auto'] as const;
export type FlashAttention = (typeof flashAttentionModes)[number];
export const splitModes = ['none', 'layer', 'row', 'tensor'] as const;
export const llamaPrograms = ['llama-server', 'llama-cli'] as const;
/** Types that a cache can have. */
export const cacheTypes = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'iq4_nl', 'q5_0', 'q5_1'] as const;

/** Ways of speculative decoding, as --spec-type names them. */
export const speculationTypes = [
  'none',
  'draft-simple',
  'draft-eagle3',
  'draft-mtp',
  'draft-dflash',
  'draft-dspark',
  'ngram-simple',
  'ngram-map-k',
  'ngram-map-k4v',
  'ngram-mod',
  'ngram-cache',
] as const;
export type SpeculationType = (typeof speculationTypes)[number];
/** Types that a projector can be converted to (convert_hf_to_gguf.py --outtype); auto: f16. */
export const projectorTypes = ['auto', 'f16', 'bf16', 'q8_0', 'f32'] as const;

/** What is asked of llama.cpp; undefined: the build's own default. */
export interface LlamaOptions {
  ctxSize?: number;
  parallel?: number;
  kvUnified?: boolean;
  batch?: number;
  ubatch?: number;
  flashAttn?: FlashAttention;
  cacheTypeK?: GgmlType;
  cacheTypeV?: GgmlType;
  gpuLayers?: number | 'auto' | 'all';
  splitMode?: (typeof splitModes)[number];
  tensorSplit?: readonly number[];
  mainGpu?: number;
  /** pattern=buffer, first match wins. */
  overrideTensor?: readonly { pattern: string; place: string }[];
  cpuMoe?: boolean;
  cpuMoeLayers?: number;
  noKvOffload?: boolean;
  noOpOffload?: boolean;
  swaFull?: boolean;
  embedding?: boolean;
  fit?: boolean;
  fitTargetMiB?: readonly number[];
  fitCtx?: number;
  noMmap?: boolean;
  /** The multimodal projector's file, or the type in which the model's own towers are converted. */
  mmproj?: string;
  noMmproj?: boolean;
  noMmprojOffload?: boolean;
  /** The draft model's file; on our command line a preset too. */
  modelDraft?: string;
  /** The mix of a draft model that is a preset. */
  draftQuantization?: string;
  gpuLayersDraft?: number | 'auto' | 'all';
  cacheTypeKDraft?: GgmlType;
  cacheTypeVDraft?: GgmlType;
  ctxSizeDraft?: number;
  /** Tokens drafted at once. */
  draftMax?: number;
  specType?: readonly SpeculationType[];
  /** llama-server reserves logits for its slots only; the other programs for a whole batch. */
  program?: (typeof llamaPrograms)[number];
}

export interface LlamaOptionEntry {
  key: keyof LlamaOptions;
  /** Long names; the last is the one that help shows and commands are generated with. */
  long: readonly string[];
  /** Short forms of several letters too (-ngl), which are not combined letters. */
  short?: readonly string[];
  /** How help shows the value; absent: a switch. */
  value?: string;
  description: string;
  /** The value may be left out: what it then is. */
  bare?: string;
  read: (raw: string, option: string, before: unknown) => unknown;
}

const yes = (): boolean => true;
const no = (): boolean => false;
const count =
  (min = 0) =>
  (raw: string, option: string): number =>
    parseCount(raw, option, { min });

export const llamaOptionTable: readonly LlamaOptionEntry[] = [
  {
    key: 'ctxSize',
    long: ['--ctx-size'],
    short: ['-c'],
    value: '<tokens>',
    description: 'context of all slots together; 0: of the model',
    read: count(),
  },
  {
    key: 'parallel',
    long: ['--parallel'],
    short: ['-np'],
    value: '<slots>',
    description: 'slots; auto: 4 that share one cache',
    read: (raw, option) => (raw === '-1' || raw === 'auto' ? undefined : count(1)(raw, option)),
  },
  {
    key: 'kvUnified',
    long: ['--kv-unified'],
    short: ['-kvu'],
    description: 'one cache for all slots',
    read: yes,
  },
  { key: 'kvUnified', long: ['--no-kv-unified'], short: ['-no-kvu'], description: 'a cache per slot', read: no },
  {
    key: 'batch',
    long: ['--batch-size'],
    short: ['-b'],
    value: '<tokens>',
    description: 'logical batch',
    read: count(1),
  },
  {
    key: 'ubatch',
    long: ['--ubatch-size'],
    short: ['-ub'],
    value: '<tokens>',
    description: 'physical batch',
    read: count(1),
  },
  {
    key: 'flashAttn',
    long: ['--flash-attn'],
    short: ['-fa'],
    value: '[mode]',
    bare: 'on',
    description: 'on, off or auto',
    read: (raw, option) =>
      oneOf(
        raw
          .replace(/^(?:1|true|enabled)$/, 'on')
          .replace(/^(?:0|false|disabled)$/, 'off')
          .replace(/^-1$/, 'auto'),
        flashAttentionModes,
        option,
      ),
  },
  {
    key: 'cacheTypeK',
    long: ['--cache-type-k'],
    short: ['-ctk'],
    value: '<type>',
    description: cacheTypes.join(', '),
    read: (raw, option) => oneOf(raw.toLowerCase(), cacheTypes, option),
  },
  {
    key: 'cacheTypeV',
    long: ['--cache-type-v'],
    short: ['-ctv'],
    value: '<type>',
    description: 'the same for V',
    read: (raw, option) => oneOf(raw.toLowerCase(), cacheTypes, option),
  },
  {
    key: 'gpuLayers',
    long: ['--gpu-layers', '--n-gpu-layers'],
    short: ['-ngl'],
    value: '<n>',
    description: 'layers on the GPUs; auto, all',
    read: layersOf,
  },
  {
    key: 'splitMode',
    long: ['--split-mode'],
    short: ['-sm'],
    value: '<mode>',
    description: 'none, layer, row, tensor',
    read: (raw, option) => oneOf(raw, splitModes, option),
  },
  {
    key: 'tensorSplit',
    long: ['--tensor-split'],
    short: ['-ts'],
    value: '<n,n>',
    description: 'share of each GPU, e.g. 3,1',
    read: (raw, option) => shares(raw, option),
  },
  {
    key: 'mainGpu',
    long: ['--main-gpu'],
    short: ['-mg'],
    value: '<i>',
    description: 'the GPU with --split-mode none',
    read: count(),
  },
  {
    key: 'overrideTensor',
    long: ['--override-tensor'],
    short: ['-ot'],
    value: '<pattern=place>',
    description: 'tensors to CPU or CUDA0, ... (repeatable)',
    read: (raw, option, before) => [...((before as []) ?? []), ...overrides(raw, option)],
  },
  { key: 'cpuMoe', long: ['--cpu-moe'], short: ['-cmoe'], description: 'all experts on the CPU', read: yes },
  {
    key: 'cpuMoeLayers',
    long: ['--n-cpu-moe'],
    short: ['-ncmoe'],
    value: '<n>',
    description: 'experts of the first n layers on the CPU',
    read: count(),
  },
  {
    key: 'noKvOffload',
    long: ['--no-kv-offload'],
    short: ['-nkvo'],
    description: 'KV cache in host memory',
    read: yes,
  },
  { key: 'noOpOffload', long: ['--no-op-offload'], description: 'host layers compute on the CPU', read: yes },
  { key: 'swaFull', long: ['--swa-full'], description: 'sliding layers keep the whole context', read: yes },
  {
    key: 'embedding',
    long: ['--embeddings', '--embedding'],
    description: 'serve embeddings',
    read: yes,
  },
  {
    key: 'fit',
    long: ['--fit'],
    short: ['-fit'],
    value: '<mode>',
    description: 'on, off: fit unset options to the memory',
    read: (raw, option) => oneOf(raw, ['on', 'off'] as const, option) === 'on',
  },
  {
    key: 'fitTargetMiB',
    long: ['--fit-target'],
    short: ['-fitt'],
    value: '<MiB>',
    description: 'margin that fit leaves on each GPU',
    read: (raw, option) => raw.split(',').map((part) => parseCount(part, option, { min: 0 })),
  },
  {
    key: 'fitCtx',
    long: ['--fit-ctx'],
    short: ['-fitc'],
    value: '<tokens>',
    description: 'least context that fit may choose',
    read: count(1),
  },
  { key: 'noMmap', long: ['--no-mmap'], description: 'read the file into memory', read: yes },
  {
    key: 'mmproj',
    long: ['--mmproj'],
    short: ['-mm'],
    value: '<file>',
    description: `multimodal projector: a file, or the model's own as ${projectorTypes.join(', ')}`,
    read: text,
  },
  { key: 'noMmproj', long: ['--no-mmproj'], description: 'no multimodal projector', read: yes },
  { key: 'noMmprojOffload', long: ['--no-mmproj-offload'], description: 'the projector on the CPU', read: yes },
  {
    key: 'modelDraft',
    long: ['--model-draft'],
    short: ['-md'],
    value: '<model>',
    description: 'draft model: a preset or a file',
    read: text,
  },
  {
    key: 'draftQuantization',
    long: ['--draft-quantization'],
    value: '<mix>',
    description: 'quantization of a draft that is a preset; default: -q',
    read: text,
  },
  {
    key: 'gpuLayersDraft',
    long: ['--n-gpu-layers-draft', '--gpu-layers-draft'],
    short: ['-ngld'],
    value: '<n>',
    description: 'layers of the draft on the GPUs; auto, all',
    read: layersOf,
  },
  {
    key: 'cacheTypeKDraft',
    long: ['--cache-type-k-draft'],
    short: ['-ctkd'],
    value: '<type>',
    description: "type of the draft's K",
    read: (raw, option) => oneOf(raw.toLowerCase(), cacheTypes, option),
  },
  {
    key: 'cacheTypeVDraft',
    long: ['--cache-type-v-draft'],
    short: ['-ctvd'],
    value: '<type>',
    description: "type of the draft's V",
    read: (raw, option) => oneOf(raw.toLowerCase(), cacheTypes, option),
  },
  {
    key: 'ctxSizeDraft',
    long: ['--ctx-size-draft'],
    short: ['-cd'],
    value: '<tokens>',
    description: 'context of the draft (builds before 2026-04)',
    read: count(),
  },
  {
    key: 'draftMax',
    long: ['--draft', '--draft-n', '--spec-draft-n-max', '--draft-max'],
    value: '<tokens>',
    description: 'tokens drafted at once',
    read: count(),
  },
  {
    key: 'specType',
    long: ['--spec-type'],
    value: '<types>',
    description: 'draft-simple, draft-mtp, ngram-mod, ...: how is drafted',
    read: (raw, option) => raw.split(',').map((part) => oneOf(part.trim(), speculationTypes, option)),
  },
  {
    key: 'program',
    long: ['--program'],
    value: '<name>',
    description: 'llama-server, or llama-cli (logits of a whole batch)',
    read: (raw, option) =>
      /^llama-(?:cli|bench|perplexity|simple|run|completion)$/.test(raw)
        ? 'llama-cli'
        : oneOf(raw, llamaPrograms, option),
  },
];

function text(raw: string, option: string): string {
  if (raw.trim() !== '') return raw.trim();
  throw inputError('VRAM145', `${option} takes a value`, { path: option });
}

function layersOf(raw: string, option: string): number | 'auto' | 'all' {
  return raw === 'all' || raw === '-2' ? 'all' : raw === 'auto' || raw === '-1' ? 'auto' : count()(raw, option);
}

function oneOf<Word extends string>(raw: string, words: readonly Word[], option: string): Word {
  const word = words.find((candidate) => candidate === raw);
  if (word) return word;
  throw inputError('VRAM145', `${option} does not take ${JSON.stringify(raw.slice(0, 40))}`, {
    hint: `it takes ${words.join(', ')}`,
    path: option,
  });
}

function shares(raw: string, option: string): number[] {
  const parts = raw.split(/[,/]/).map((part) => Number(part.trim()));
  if (
    raw.trim() !== '' &&
    parts.every((part) => Number.isFinite(part) && part >= 0) &&
    parts.some((part) => part > 0)
  ) {
    return parts;
  }
  throw inputError('VRAM145', `${option}: ${JSON.stringify(raw.slice(0, 40))} is no list of shares`, {
    hint: 'one number for each GPU, e.g. 3,1',
    path: option,
  });
}

const longestPattern = 400;

function overrides(raw: string, option: string): { pattern: string; place: string }[] {
  return raw.split(',').map((part) => {
    const at = part.lastIndexOf('=');
    const pattern = part.slice(0, at);
    const place = part.slice(at + 1);
    if (at <= 0 || !/^(?:CPU|CUDA_Host|(?:CUDA|ROCm|Vulkan|SYCL)\d{1,3})$/i.test(place)) {
      throw inputError('VRAM145', `${option}: ${JSON.stringify(part.slice(0, 60))} is not pattern=place`, {
        hint: 'places are CPU, CUDA0, CUDA1, ..., e.g. ffn_up_exps=CPU',
        path: option,
      });
    }
    const problem = pattern.length > longestPattern ? 'is too long' : patternProblem(pattern);
    if (problem) {
      throw inputError('VRAM145', `${option}: the pattern ${JSON.stringify(pattern.slice(0, 60))} ${problem}`, {
        path: option,
      });
    }
    return { pattern, place };
  });
}

/** A pattern is matched against a thousand names: repetitions inside repetitions could take for ever. */
function patternProblem(pattern: string): string | undefined {
  if (/\([^()]*[*+][^()]*\)\s*[*+{]/.test(pattern)) return 'repeats a repetition';
  try {
    new RegExp(pattern);
    return undefined;
  } catch {
    return 'is no regular expression';
  }
}

/** Reads the words of a llama-server line; what is no option of the table comes back as it stood. */
export function readLlamaWords(words: readonly string[]): { options: LlamaOptions; rest: string[] } {
  const options: Record<string, unknown> = {};
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const entry = llamaOptionTable.find(({ long, short = [] }) => long.includes(word) || short.includes(word));
    if (!entry) {
      rest.push(word);
      continue;
    }
    const next = words[i + 1];
    const takes =
      entry.value !== undefined && !(entry.bare !== undefined && (next === undefined || next.startsWith('-')));
    const read = entry.read(takes ? (next ?? '') : (entry.bare ?? ''), word, options[entry.key]);
    if (takes) i++;
    if (read !== undefined) options[entry.key] = read;
  }
  return { options: options as LlamaOptions, rest };
}
