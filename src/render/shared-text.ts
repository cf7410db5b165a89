// Words that every form of several simulated models shares: what shares the GPU, how much there is to share, what to do. Names of
// models and pools come from files: shown harmless, cut where they are long. It computes nothing.
import { gib, parameters, thousands } from '../numbers.ts';
import type { NamedSharedModel, SharedModelEcho, SharedOutput, SharedPolicyResult } from '../plan/shared-output.ts';
import { isSameVariant, variantName } from '../plan/sharing/variant.ts';
import type { SharedPoint } from '../sim/sharing/result.ts';
import { GiB } from '../units.ts';
import { estimateText, requestsText, span, tokens } from './simulate-text.ts';
import { visible, wrap } from './text.ts';

/** Longest name in prose; columns cut further. */
const longestName = 40;

export function nameText(name: string, most = longestName): string {
  const shown = [...visible(name)];
  return shown.length > most ? `${shown.slice(0, most - 1).join('')}…` : shown.join('');
}

/** Prose with words from outside: wrapped, and words that no line can hold are broken. */
export function prose(text: string, width: number, indent = 0): string {
  const room = Math.max(8, width - indent);
  const broken = visible(text).replace(/\S+/g, (word) => {
    if (word.length <= room) return word;
    const letters = [...word];
    const pieces = [];
    for (let from = 0; from < letters.length; from += room) pieces.push(letters.slice(from, from + room).join(''));
    return pieces.join(' ');
  });
  return wrap(broken, width, indent);
}

/** "shared-gpu.yaml: 3 models on 2x NVIDIA A100 80GB". */
export function sharedTitle({ input }: SharedOutput): string {
  const { pool, gpu, models } = input;
  const device = visible(gpu.count > 1 ? `${gpu.count}x ${gpu.name}` : gpu.name);
  const name = nameText(pool.name ?? pool.file.replace(/^.*[/\\]/, ''));
  return `${name}: ${thousands(models.length)} ${models.length === 1 ? 'model' : 'models'} on ${device}`;
}

/** "KV memory 36.00 GiB, weights 36.00 GiB (a 12.00, b 12.00, c 12.00)". */
export function poolLine({ input, result }: SharedOutput): string {
  const weights = input.models.map((_, i) => heaviest(result.timeline, i));
  const all = weights.reduce((a, b) => a + b, 0);
  const room = result.pool?.poolBytes ?? 0;
  const parts = result.pool ? [room > 0 ? `${gib(room)} for KV between them` : 'not all fit at once'] : [];
  if (all > 0) {
    const each = input.models.map(({ id }, i) => `${nameText(id, 24)} ${(weights[i]! / GiB).toFixed(2)}`);
    parts.push(`${gib(all)} for the models themselves${each.length <= fewModels ? ` (${each.join(', ')})` : ''}`);
  }
  return parts.join(', ');
}

/** So many are named one by one. */
const fewModels = 4;

function heaviest(timeline: readonly SharedPoint[], model: number): number {
  return timeline.reduce((most, { models }) => Math.max(most, models[model]?.weights ?? 0), 0);
}

/** Requests and tokens of all workloads, and the longest time that they arrive over. */
export function demandLine({ input }: SharedOutput): string {
  const sum = (of: (model: SharedModelEcho) => number): number => input.models.reduce((all, m) => all + of(m), 0);
  const over = Math.max(0, ...input.models.map(({ workload }) => workload.spanSeconds));
  const arrivals = over > 0 ? ` over ${span(over)}` : '';
  const loading = loadingText(input.pool);
  return `${requestsText(sum(({ workload }) => workload.requests))}, ${tokens(sum(({ workload }) => workload.promptTokens))} prompt and ${tokens(sum(({ workload }) => workload.outputTokens))} output tokens${arrivals}${loading}`;
}

function loadingText({ loading, loadings }: SharedOutput['input']['pool']): string {
  if (loading === null) return '';
  if (loading === 'own' && loadings.length < 2) return '; models come and go as the file states';
  if (loadings.length < 2) return `; models come and go as ${visible(loading)} loads them`;
  return `; models come and go as ${visible(loadings.map(({ id }) => id).join(', '))} load them`;
}

/** "llama-3.1-8b, 8.03B, bfloat16, vllm@0.33.0". */
export function modelLine({ model, parameters: count, quantization, engine }: SharedModelEcho): string {
  const scheme = quantization === 'auto' ? '' : quantization;
  return visible([nameText(model), count === null ? '' : parameters(count), scheme, engine].filter(Boolean).join(', '));
}

/** What the times rest on, each statement once. */
export function estimateLines(models: readonly NamedSharedModel[]): string[] {
  return [
    ...new Set(models.map((model) => estimateText({ ...model, latency: { ...model.latency, bound: undefined } }))),
  ];
}

/** Policies that no engine runs, so that nobody looks for their flags. */
export function notRunLine(policies: readonly SharedPolicyResult[]): string {
  const names = [...new Set(policies.filter(({ runs }) => !runs).map(({ policy }) => visible(policy)))];
  return names.length === 0 ? '' : `No engine runs ${names.join(', ')}: a proposal or a bound, to compare with.`;
}

/** Policies that could not run, those with the same reason together. */
export function refusedLines({ input, result }: SharedOutput): string[] {
  const reasons = new Map<string, string[]>();
  for (const one of result.refused)
    reasons.set(one.reason, [...(reasons.get(one.reason) ?? []), variantName(one, input.pool)]);
  const between = input.pool.loadings.length > 1 ? '; ' : ', ';
  return [...reasons].map(([reason, names]) => `${names.join(between)}: ${reason}`);
}

/** What the rows and panels of the runs are called. */
export function namedRuns({
  input,
  result,
}: SharedOutput): { name: string; row: SharedPolicyResult; chosen: boolean }[] {
  return result.policies.map((row) => ({
    name: visible(variantName(row, input.pool)),
    row,
    chosen: isSameVariant(row, result),
  }));
}

/** The run that models, timeline and figures of models are of. */
export function chosenName({ input, result }: SharedOutput): string {
  return visible(variantName(result, input.pool));
}
