// The draft model that --speculative-config names: resolved like any other model. An EAGLE head that is not known is made up
// from the target's sizes and marked as an estimate; any other unknown draft is left out with a warning.
import { type Diagnostic, InputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { resolveModel } from '../load/model.ts';
import type { PlanRequest } from '../plan/request.ts';
import type { ModelSpec } from '../spec/model.ts';
import type { EngineOptions } from '../spec/options.ts';
import { schemeFor } from './plan-checks.ts';

export async function draftOf(
  { speculativeConfig }: EngineOptions,
  target: ModelSpec,
  io: Io,
  diagnostics: Diagnostic[],
): Promise<PlanRequest['draft']> {
  const ref = speculativeConfig?.model;
  if (typeof ref !== 'string') return undefined;
  const family = eagleFamily(speculativeConfig?.method);
  try {
    const draft = await resolveModel(ref, { env: io.env });
    const scheme = schemeFor(undefined, draft, diagnostics);
    const spec = family ? asHead(draft.spec, family) : draft.spec;
    return { spec, ...(scheme ? { scheme } : {}) };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    diagnostics.push(unknownDraft(ref, family));
    return family ? { spec: typicalHead(target, family, ref), estimated: true } : undefined;
  }
}

/** Without a method the release goes by the name of the draft (config/speculative.py __post_init__). */
export function withDraftMethod(options: EngineOptions): EngineOptions {
  const { speculativeConfig: config } = options;
  if (typeof config?.model !== 'string' || config.method !== undefined) return options;
  const name = config.model.toLowerCase();
  const method = name.includes('eagle-') ? 'eagle' : name.includes('eagle3') ? 'eagle3' : undefined;
  return method ? { ...options, speculativeConfig: { ...config, method } } : options;
}

type EagleFamily = 'eagle' | 'eagle3';

function eagleFamily(method: unknown): EagleFamily | undefined {
  return method === 'eagle' || method === 'eagle3' ? method : undefined;
}

/** A head's config.json names the class of its layers (LlamaForCausalLM); the engine puts Eagle in front of it. */
function asHead(spec: ModelSpec, family: EagleFamily): ModelSpec {
  return { ...spec, assumedFamily: family };
}

/** EAGLE-3 heads are commonly trained over the 32,000 most frequent tokens. */
const typicalDraftVocabulary = 32000;

/** One Llama layer as wide as the target: what published heads of dense targets are. */
function typicalHead(target: ModelSpec, family: EagleFamily, ref: string): ModelSpec {
  const { config } = target;
  const { hiddenSize, vocabSize, heads, headDim, maxPositionEmbeddings, rope, experts } = config;
  const isLatent = typeof config.kvLoraRank === 'number';
  const own = {
    hiddenSize,
    vocabSize,
    heads,
    layers: 1,
    kvHeads: config.kvHeads ?? heads,
    intermediateSize: experts ? 4 * hiddenSize : (config.intermediateSize ?? 4 * hiddenSize),
    ...(headDim === undefined || isLatent ? {} : { headDim }),
    ...(maxPositionEmbeddings === undefined ? {} : { maxPositionEmbeddings }),
    ...(rope === undefined ? {} : { rope }),
    ...(family === 'eagle3' ? { draftVocabSize: Math.min(vocabSize, typicalDraftVocabulary) } : {}),
  };
  return { id: ref, modelType: 'llama', architecture: 'LlamaForCausalLM', assumedFamily: family, config: own };
}

function unknownDraft(ref: string, family: EagleFamily | undefined): Diagnostic {
  const consequence = family
    ? 'its weights and cache are estimated as one Llama layer of the size of the target'
    : 'its weights and caches are not in this plan';
  return {
    severity: 'warning',
    code: 'VRAM168',
    message: `the draft model ${JSON.stringify(ref)} is not known: ${consequence}`,
    hint: 'name a preset, a config.json or hf:org/name',
    path: '--speculative-config',
  };
}
