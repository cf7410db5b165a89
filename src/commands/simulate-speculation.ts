// --speculative-config of a simulation: what an engine would not start with is refused, what a policy does not simulate is told.
// Law: SpeculativeConfig in vllm/config/speculative.py (methods of all releases), async scheduling in vllm/config/vllm.py.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import { nearestNames, printable } from '../load/names.ts';
import type { Policy } from '../sim/policies.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { SimulationOptions } from '../spec/simulation-options.ts';
import { mostDraftTokens } from '../spec/simulation-values.ts';
import { withoutEffect } from './simulate-checks.ts';

const option = '--speculative-config';
const methods = [
  'ngram',
  'ngram_gpu',
  'eagle',
  'eagle3',
  'draft_model',
  'mtp',
  'deepseek_mtp',
  'medusa',
  'mlp_speculator',
  'suffix',
  'dflash',
  'dspark',
];

/** Refuses a configuration that no release takes: nothing that drafts, a method nobody knows, a number of drafts out of range. */
export function checkSpeculation({ speculativeConfig: config }: Partial<EngineOptions>): void {
  if (config === undefined) return;
  const { method, model } = config;
  if (method === undefined && typeof model !== 'string') {
    throw inputError('VRAM683', `${option} names neither a method nor a draft model`, {
      hint: `e.g. ${option} '{"method":"ngram","num_speculative_tokens":3,"prompt_lookup_max":4}'`,
      path: option,
    });
  }
  if (method !== undefined && !isMethod(method)) throw unknownMethod(method);
  const tokens = config.num_speculative_tokens ?? config.numSpeculativeTokens;
  // A head for several tokens states its own number (n_predict).
  if (tokens === undefined && typeof method === 'string' && /mtp$/.test(method)) return;
  if (tokens === undefined || !Number.isInteger(tokens) || Number(tokens) < 1 || Number(tokens) > mostDraftTokens) {
    const given = tokens === undefined ? 'it is missing' : `not ${printable(JSON.stringify(tokens))}`;
    throw inputError('VRAM683', `${option}: num_speculative_tokens must be 1 to ${mostDraftTokens}, ${given}`, {
      hint: 'it is the number of tokens drafted in a step',
      path: option,
    });
  }
}

function isMethod(method: unknown): boolean {
  return typeof method === 'string' && (methods.includes(method) || /^[a-z0-9_]+_mtp$/.test(method));
}

function unknownMethod(method: unknown): Error {
  const text = typeof method === 'string' ? method : JSON.stringify(method);
  const near = nearestNames(text, methods, 1)[0];
  return inputError('VRAM683', `${option}: there is no method ${JSON.stringify(printable(text))}`, {
    hint: `${near ? `did you mean ${near}? ` : ''}(${methods.join(', ')})`,
    path: option,
  });
}

/** Which drafts go together with --async-scheduling, by the value of the rule scheduler.asyncDrafts. */
const asyncDrafts: Readonly<Record<string, RegExp>> = {
  none: /^$/,
  heads: /^(eagle|eagle3|.*mtp)$/,
  headsAndModels: /^(eagle|eagle3|.*mtp|draft_model)$/,
  padded: /^(eagle|eagle3|.*mtp|draft_model|ngram_gpu|dflash)$/,
  any: /^/,
};

/** Why a release does not start with async scheduling and these drafts; undefined where it does. */
export function asyncRefusal(
  { asyncScheduling, speculativeConfig: config }: Partial<EngineOptions>,
  profile: object,
  release: string,
): string | undefined {
  if (asyncScheduling !== true || config === undefined) return undefined;
  const method = String(config.method ?? 'draft_model');
  const rule = String((profile as Record<string, unknown>)['scheduler.asyncDrafts']);
  if (asyncDrafts[rule]?.test(method) ?? true) return undefined;
  return `vLLM ${release} does not combine --async-scheduling with speculative decoding${rule === 'none' ? '' : ` by ${method}`}`;
}

interface Speculating {
  policy: Policy;
  run: { setup: { paged: { spec?: object } } };
}

/** Drafts that a policy does not make, and an acceptance rate of none. */
export function speculationNotes(runs: readonly Speculating[], { acceptanceRate }: SimulationOptions): Diagnostic[] {
  const drafting = runs.filter(({ run }) => run.setup.paged.spec !== undefined);
  if (drafting.length === 0) {
    if (acceptanceRate === undefined || runs.length === 0) return [];
    return [withoutEffect(['--acceptance-rate'], `there is no ${option}`, '--acceptance-rate')];
  }
  const without = [...new Set(drafting.filter(({ policy }) => policy !== 'paged').map(({ policy }) => policy))];
  if (without.length === 0) return [];
  const message = `${option} is without effect: no drafts are simulated under ${without.join(', ')}`;
  return [{ severity: 'warning', code: 'VRAM684', message, hint: 'take --policy paged', path: option }];
}
