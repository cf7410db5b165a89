// The draft model that --speculative-config names: resolved like any other model, and a warning when it is not known.
import { type Diagnostic, InputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { resolveModel } from '../load/model.ts';
import type { PlanRequest } from '../plan/request.ts';
import type { EngineOptions } from '../spec/options.ts';
import { schemeFor } from './plan-checks.ts';

export async function draftOf(
  { speculativeConfig }: EngineOptions,
  io: Io,
  diagnostics: Diagnostic[],
): Promise<PlanRequest['draft']> {
  const ref = speculativeConfig?.model;
  if (typeof ref !== 'string') return undefined;
  try {
    const draft = await resolveModel(ref, { env: io.env });
    const scheme = schemeFor(undefined, draft, diagnostics);
    return { spec: draft.spec, ...(scheme ? { scheme } : {}) };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM168',
      message: `the draft model ${JSON.stringify(ref)} is not known: its weights and caches are not in this plan`,
      hint: 'name a preset, a config.json or hf:org/name',
      path: '--speculative-config',
    });
    return undefined;
  }
}
