// Speculative decoding: how a start drafts, how many tokens at once, and with which parameters the draft's own context is made.
// Law: common/speculative.cpp (common_base_params_to_speculative, common_speculative_n_max), tools/server/server-context.cpp; what
// changed from build to build is in presets/engines/llamacpp/speculation.yaml.
import type { SpeculationType } from '../../spec/llama-options.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaRules } from './rules.ts';
import type { ContextParams, LlamaOptions } from './types.ts';

export interface SpeculationRules {
  'speculation.draftMax': number;
  'speculation.namedType': boolean;
  'speculation.contextPerSlot': boolean;
  'speculation.context': 'share' | 'sequence' | 'asGiven' | 'target';
  'speculation.batch': 'context' | 'sequence' | 'asGiven';
  'speculation.cacheTypes': 'f16' | 'asGiven';
  'speculation.inheritsOverrides': boolean;
  'speculation.rollback': readonly string[];
  'speculation.ownBlocks': readonly string[];
  'speculation.fit': 'none' | 'margin' | 'together';
}

/** Tokens that drafting without a model proposes at most (their own options change it). */
const lookupTokens: Partial<Record<SpeculationType, number>> = {
  'ngram-simple': 48,
  'ngram-map-k': 48,
  'ngram-map-k4v': 48,
  'ngram-mod': 64,
  'ngram-cache': 8,
};

/** Kinds of drafts that give back a recurrent state token by token. */
const rollingBack: readonly SpeculationType[] = ['draft-mtp', 'draft-eagle3', 'draft-dflash', 'draft-dspark'];
/** Drafts that decode all their tokens in one batch. */
const inOneBatch: readonly SpeculationType[] = ['draft-dflash', 'draft-dspark'];

export interface Speculation {
  types: readonly SpeculationType[];
  /** Most tokens that one round drafts for a sequence. */
  tokens: number;
  /** The model drafts with its own blocks of multi-token prediction. */
  ownBlocks: boolean;
  /** Rows of recurrent state that are kept beside the current one, for each sequence. */
  rollback: number;
}

export function speculationOf(options: LlamaOptions, hparams: LlamaHparams, rules: LlamaRules): Speculation {
  const law = rules as unknown as SpeculationRules;
  const types = typesOf(options);
  const drafted = options.draftMax ?? law['speculation.draftMax'];
  const tokens = Math.max(0, ...types.map((type) => lookupTokens[type] ?? (type === 'none' ? 0 : drafted)));
  const keepsStates = law['speculation.rollback'].includes(hparams.architecture);
  return {
    types,
    tokens,
    ownBlocks: types.includes('draft-mtp') && options.modelDraft === undefined,
    rollback: keepsStates && types.some((type) => rollingBack.includes(type)) ? drafted : 0,
  };
}

/** A draft model is there to draft: where the type has to be named, the generated line names it. */
function typesOf({ specType, modelDraft }: LlamaOptions): readonly SpeculationType[] {
  if (specType === undefined) return modelDraft === undefined ? [] : ['draft-simple'];
  return specType.includes('none') ? [] : specType;
}

/** The draft's own context in the words of options, and how many such contexts are made. */
export function draftContext(input: {
  options: LlamaOptions;
  /** The target's. */
  context: ContextParams;
  rules: LlamaRules;
  /** Tensor shares that -fit has set are the draft's too. */
}): { options: LlamaOptions; contexts: number } {
  const { options, context, rules } = input;
  const law = rules as unknown as SpeculationRules;
  const perSlot = law['speculation.contextPerSlot'];
  const ctxSize = contextSize(input, law);
  const batch = { context: undefined, sequence: context.nCtxSeq, asGiven: options.batch }[law['speculation.batch']];
  const own = law['speculation.cacheTypes'] === 'asGiven';
  const types = options.specType?.filter((type) => inOneBatch.includes(type)) ?? [];
  return {
    contexts: perSlot ? context.nSeqMax : 1,
    options: {
      ...shared(options),
      ctxSize,
      parallel: perSlot ? 1 : context.nSeqMax,
      kvUnified: context.kvUnified,
      batch: law['speculation.batch'] === 'context' ? Math.max(ctxSize, 1 << 20) : batch,
      cacheTypeK: (own ? options.cacheTypeKDraft : undefined) ?? 'f16',
      cacheTypeV: (own ? options.cacheTypeVDraft : undefined) ?? 'f16',
      gpuLayers: options.gpuLayersDraft,
      ...(types.length > 0 ? { specType: types, draftMax: options.draftMax } : {}),
      ...(law['speculation.inheritsOverrides'] ? overridesOf(options) : {}),
      fit: false,
    } as LlamaOptions,
  };
}

function contextSize({ options, context }: Parameters<typeof draftContext>[0], law: SpeculationRules): number {
  switch (law['speculation.context']) {
    case 'share':
      return options.ctxSizeDraft || Math.floor((options.ctxSize ?? 4096) / context.nSeqMax);
    case 'sequence':
      return options.ctxSizeDraft || context.nCtxSeq;
    case 'asGiven':
      return options.ctxSize ?? 0;
    case 'target':
      return context.nCtx;
  }
}

/** What a draft takes over from the target's options. */
function shared(options: LlamaOptions): LlamaOptions {
  const keys = ['ubatch', 'flashAttn', 'splitMode', 'tensorSplit', 'mainGpu', 'noKvOffload', 'noOpOffload'] as const;
  const more = ['swaFull', 'noMmap'] as const;
  const taken = [...keys, ...more].filter((key) => options[key] !== undefined).map((key) => [key, options[key]]);
  return Object.fromEntries(taken) as LlamaOptions;
}

function overridesOf({ overrideTensor, cpuMoe, cpuMoeLayers }: LlamaOptions): LlamaOptions {
  return {
    ...(overrideTensor ? { overrideTensor } : {}),
    ...(cpuMoe ? { cpuMoe } : {}),
    ...(cpuMoeLayers ? { cpuMoeLayers } : {}),
  };
}
