// What a llama.cpp plan is asked to load beside its model: the draft model of -md (a preset in a mix, or a file) and the multimodal
// projector of --mmproj (the model's own towers as the converter writes them, or a file).
import { type ProjectorType, toMmproj } from '../architecture/gguf/mmproj.ts';
import { expandArchitecture } from '../architecture/index.ts';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import { loadProjector } from '../engines/llamacpp/projector.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import type { SpeculationRules } from '../engines/llamacpp/speculation.ts';
import type { Io } from '../io.ts';
import type { ResolvedModel } from '../load/model.ts';
import { printable } from '../load/names.ts';
import { gib } from '../numbers.ts';
import type { GgufModel } from '../spec/gguf.ts';
import { type LlamaOptions, projectorTypes } from '../spec/llama-options.ts';
import { ggufOf, llamaModel, servedFile } from './llama-model.ts';

type Asked = Omit<LlamaRequest, 'gpus'>;

/** The request with its draft and its projector, their options naming the files that the server is to be given. */
export async function withCompanions(
  request: Asked,
  { resolved, mix }: { resolved: ResolvedModel; mix: string | undefined },
  io: Io,
  diagnostics: Diagnostic[],
): Promise<Asked> {
  const drafted = await withDraft(request, mix, io, diagnostics);
  return withProjector(drafted, resolved, io, diagnostics);
}

/** Tokens of two vocabularies that may differ before llama.cpp refuses to draft (SPEC_VOCAB_MAX_SIZE_DIFFERENCE). */
const vocabularySlack = 128;

async function withDraft(request: Asked, mix: string | undefined, io: Io, diagnostics: Diagnostic[]): Promise<Asked> {
  const { options, rules } = request;
  const ref = options.modelDraft;
  if (ref === undefined) return request;
  const named = await llamaModel(ref, io, diagnostics);
  const { resolved } = named;
  diagnostics.push(...resolved.diagnostics);
  const wanted = options.draftQuantization ?? named.mix ?? (resolved.gguf ? undefined : mix);
  const { model, scheme } = ggufOf(resolved, wanted, diagnostics);
  const difference = Math.abs(model.vocabSize - request.model.vocabSize);
  const simple = options.specType === undefined || options.specType.includes('draft-simple');
  if (simple && difference > vocabularySlack) {
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM531',
      message: `the draft has ${model.vocabSize} tokens, the model ${request.model.vocabSize}: llama-server drops a draft of another vocabulary`,
      hint: 'take a smaller model of the same family',
      path: '--model-draft',
    });
  }
  const { model: file } = servedFile(ref, resolved, scheme);
  const typeNamed = (rules as unknown as SpeculationRules)['speculation.namedType'];
  const type: LlamaOptions = typeNamed && options.specType === undefined ? { specType: ['draft-simple'] } : {};
  return {
    ...request,
    options: { ...options, ...type, modelDraft: file },
    draft: { model, name: resolved.spec.name ?? resolved.spec.id, scheme },
  };
}

/** What the converter writes unless told otherwise. */
const defaultType: ProjectorType = 'f16';

async function withProjector(
  request: Asked,
  { spec, gguf }: ResolvedModel,
  io: Io,
  diagnostics: Diagnostic[],
): Promise<Asked> {
  const { options } = request;
  const { mmproj, noMmproj } = options;
  if (noMmproj) return request;
  const own = (type: ProjectorType) => (gguf ? undefined : toMmproj(spec, expandArchitecture(spec), type));
  if (mmproj === undefined) {
    const projector = own(defaultType);
    if (projector) diagnostics.push(notLoaded(projector, request));
    return request;
  }
  const named = projectorTypes.find((name) => name === mmproj.toLowerCase());
  if (named === undefined) return { ...request, projector: await projectorFile(mmproj, io, diagnostics) };
  const type = named === 'auto' ? defaultType : named;
  const projector = own(type);
  if (!projector) {
    throw inputError(
      'VRAM532',
      `${printable(spec.name ?? spec.id)} has no tower that could be converted to a projector`,
      {
        hint: 'give the mmproj file itself',
        path: '--mmproj',
      },
    );
  }
  const file = `./mmproj-${(spec.hfId ?? spec.id).replace(/^.*\//, '')}-${type.toUpperCase()}.gguf`;
  return { ...request, projector, options: { ...options, mmproj: file } };
}

/** llama-server looks for a projector by itself only in a repository (-hf). */
function notLoaded(projector: GgufModel, { options, rules }: Asked): Diagnostic {
  const { modelBytes, computeBytes } = loadProjector(projector, options, rules);
  return {
    severity: 'note',
    code: 'VRAM530',
    message:
      'text only: the projector for pictures is a file of its own, which llama-server loads with --mmproj (or -hf)',
    hint: `--mmproj auto counts it: about ${gib(modelBytes + computeBytes)} more on the first GPU`,
    path: '--mmproj',
  };
}

async function projectorFile(path: string, io: Io, diagnostics: Diagnostic[]): Promise<GgufModel> {
  const { readGguf } = await import('../load/gguf.ts');
  const { model, diagnostics: read } = readGguf(path, { env: io.env }, 'projector');
  diagnostics.push(...read);
  return model;
}
