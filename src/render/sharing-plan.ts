// What models that share GPUs get, for a person: what each engine needs for itself, what the chosen policy gives it, what the others would,
// what sharing adds. Names come from files: shown harmless, cut where they are long. It formats and computes nothing.
import { gib, thousands, times } from '../numbers.ts';
import type { PoolOutput } from '../plan/sharing/output.ts';
import type { PoolModelPlan, SharedBudget, SharingGain } from '../plan/sharing/types.ts';
import { GiB, MiB, sum } from '../units.ts';
import { grid } from './grid.ts';
import { type Paint, paintFor } from './paint.ts';
import { nameText, prose } from './shared-text.ts';
import type { TableStyle } from './table.ts';
import { brokenCommand, visible } from './text.ts';

interface Table {
  title: string;
  head: string[];
  rows: string[][];
}

/** Longest name in a column. */
const widest = 20;

export function poolPlanText(output: PoolOutput, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const wrapped = (text: string): string => prose(text, width);
  const parts = [
    `${paint.bold(nameText(output.input.pool.name))}\n${wrapped(deviceLine(output))}`,
    verdictText(output, paint, width),
    ...poolTables(output).map((table) => tableText(table, paint)),
    ...notes(output).map(wrapped),
    runText(output, paint, width),
    paint.dim(wrapped(legend)),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

const legend =
  'kept: KV cache that nobody else gets; at most: while the others keep theirs; bound: no engine does it. More: --explain, --json, vram simulate --pool.';

export function chosen({ result }: PoolOutput): SharedBudget {
  return result.policies.find(({ policy }) => policy === result.policy)!;
}

export function deviceLine({ input }: PoolOutput): string {
  const { gpu, models, pool } = input;
  const engines = [...new Set(models.map(({ engine }) => engine))];
  const name = gpu.count > 1 ? `${gpu.count}x ${gpu.name}` : gpu.name;
  const behaviour = pool.loading === 'own' ? 'the file states' : `with ${pool.loading}`;
  const loading = pool.loading === null ? '' : `, weights come and go as ${behaviour}`;
  return `${models.length} model${models.length === 1 ? '' : 's'} on ${name} (${gib(gpu.totalBytes)}) with ${engines.join(', ')}${loading}`;
}

export function verdictLine(output: PoolOutput): string {
  const { fits, takesTurns, reason, sharedBytes, kvBytes, policy, kind } = chosen(output);
  const count = output.input.models.length;
  const all = count === 1 ? 'the model runs' : `${count === 2 ? 'both' : `all ${count}`} models run at once`;
  const shared =
    kind === 'static' ? `${gib(kvBytes)} of KV cache in slices` : `${gib(sharedBytes)} of KV cache to share`;
  if (fits) return `${policy}: ${all}; ${shared}`;
  return takesTurns ? `${policy}: ${reason}; they take turns` : `${policy}: ${reason}`;
}

export function verdictWord({ fits, takesTurns }: SharedBudget): string {
  if (fits) return 'FITS';
  return takesTurns ? 'TAKES TURNS' : 'DOES NOT FIT';
}

function verdictText(output: PoolOutput, paint: Paint, width: number): string {
  const budget = chosen(output);
  const word = verdictWord(budget);
  const painted = budget.fits ? paint.good(word) : budget.takesTurns ? paint.warn(word) : paint.bad(word);
  // Wrapped with its word, whose two spaces the wrapping would take.
  const text = prose(`${word.replaceAll(' ', '_')}__ ${verdictLine(output)}`, width).slice(word.length + 3);
  return `${painted}  ${text}\n${paint.dim(prose(budget.summary, width))}`;
}

/** Every table of the answer, for all forms that have tables. */
export function poolTables(output: PoolOutput): Table[] {
  const { result } = output;
  const own = chosen(output);
  const against = result.policies.find(({ policy }) => policy === own.adds?.against);
  return [
    needsTable(own),
    own.kind === 'static' ? sliceTable(own) : shareTable(own),
    ...(against ? [sliceTable(against)] : []),
    ...(result.policies.length > 1 ? [policyTable(output)] : []),
    ...(own.gpus.length > 1 ? [gpuTable(own)] : []),
  ];
}

const figure = (bytes: number): string => (bytes / GiB).toFixed(2);

function needsTable({ models }: SharedBudget): Table {
  const row = (name: string, of: readonly PoolModelPlan[]): string[] => {
    const parts = (['weightsBytes', 'contextBytes', 'activationBytes'] as const).map((key) =>
      sum(of.map((one) => one[key])),
    );
    return [name, ...parts.map(figure), figure(sum(parts))];
  };
  return {
    title: 'Each engine for itself, GiB',
    head: ['', 'weights', 'context', 'activations', 'together'],
    rows: [
      ...models.map((one) => row(nameText(one.id, widest), [one])),
      ...(models.length > 1 ? [row('together', models)] : []),
    ],
  };
}

function sliceTable({ policy, models }: SharedBudget): Table {
  return {
    title: `${policy}: what each engine prints`,
    head: ['', 'util.', 'free GiB', 'KV GiB', 'blocks', 'tokens', 'sequences'],
    rows: models.map((one) => [
      nameText(one.id, widest),
      String(one.utilization),
      one.freeMemoryBytes ? figure(Math.min(...one.freeMemoryBytes)) : 'all',
      ...(one.fits
        ? [figure(one.kvCacheBytes), thousands(one.numBlocks), thousands(one.kvTokens), times(one.maxConcurrency)]
        : ['refused', '-', '-', '-']),
    ]),
  };
}

function shareTable({ policy, models, adds }: SharedBudget): Table {
  const hasPages = models.some(({ page }) => page);
  return {
    title: `${policy}: KV cache of each`,
    head: [
      '',
      'kept GiB',
      'at most',
      'tokens',
      ...(adds ? ['of a slice'] : []),
      ...(hasPages ? ['page MiB', 'blocks'] : []),
    ],
    rows: models.map((one) => {
      const factor = adds?.models.find(({ id }) => id === one.id)?.factor ?? null;
      return [
        nameText(one.id, widest),
        figure(one.kvCacheBytes),
        one.fits ? figure(one.mostKvBytes) : 'refused',
        thousands(one.kvTokens),
        ...(adds ? [factor === null ? '-' : times(factor)] : []),
        ...(hasPages ? [one.page ? String(one.page.bytes / MiB) : '', one.page ? thousands(one.page.blocks) : ''] : []),
      ];
    }),
  };
}

function policyTable({ result }: PoolOutput): Table {
  return {
    title: 'By policy, GiB of KV cache',
    head: ['', 'fits', 'kept', 'shared', 'together', 'tokens of one at most', ''],
    rows: result.policies.map((one) => {
      const most = one.models.map(({ kvTokens }) => kvTokens);
      const [least, largest] = [Math.min(...most), Math.max(...most)];
      return [
        visible(one.policy),
        one.fits ? 'yes' : one.takesTurns ? 'turns' : 'no',
        figure(sum(one.models.map(({ kvCacheBytes }) => kvCacheBytes))),
        one.takesTurns ? '-' : figure(one.sharedBytes),
        one.takesTurns ? '-' : figure(one.kvBytes),
        least === largest ? thousands(least) : `${thousands(least)} to ${thousands(largest)}`,
        one.runs ? '' : 'bound',
      ];
    }),
  };
}

function gpuTable({ gpus }: SharedBudget): Table {
  return {
    title: 'By GPU, GiB',
    head: ['', 'models', 'themselves', 'kept', 'shared', 'free'],
    rows: gpus.map(({ gpu, usedBytes, sharedBytes, freeBytes }) => [
      `GPU ${gpu}`,
      nameText(usedBytes.map(({ id }) => nameText(id, widest)).join(', '), 34),
      figure(sum(usedBytes.map((one) => one.weightsBytes + one.contextBytes + one.activationBytes))),
      figure(sum(usedBytes.map(({ kvCacheBytes }) => kvCacheBytes))),
      figure(sharedBytes),
      figure(freeBytes),
    ]),
  };
}

/** Figures stand under each other, words begin together. */
function tableText({ title, head, rows }: Table, paint: Paint): string {
  const isFigure = (cell: string | undefined): boolean => /^(?:[\d.,]+x?|-|all|refused|)$/.test(cell ?? '');
  const align = head.map((_, i) =>
    i > 0 && rows.every((row) => isFigure(row[i])) ? ('right' as const) : ('left' as const),
  );
  return `${paint.bold(title)}\n${grid(head, align, rows)}`;
}

/** What sharing adds, what is counted once, adapters. */
export function notes(output: PoolOutput): string[] {
  const { result } = output;
  const lines: string[] = [];
  for (const [reason, policies] of refusals(output)) lines.push(`Not ${policies.join(', ')}: ${reason}.`);
  const gains = result.policies.filter(({ adds, fits }) => adds && fits);
  const own = gains.find(({ policy }) => policy === result.policy) ?? gains.find(({ runs }) => runs) ?? gains[0];
  if (own?.adds) lines.push(gainText(output, own, own.adds));
  for (const { holder, models, part, savedBytes } of result.common) {
    const what = part === null ? 'the weights' : `the part ${JSON.stringify(visible(part))}`;
    lines.push(
      `Counted once: ${what} of ${nameText(holder, 40)}, shared by ${models.map((id) => nameText(id, 40)).join(', ')}: ${gib(savedBytes)} less. Static slices are processes of their own, each with all of its weights.`,
    );
  }
  for (const { id, adapters, bytes } of result.adapters)
    lines.push(
      `lora: ${adapters} adapter${adapters === 1 ? '' : 's'} on ${nameText(id, 40)}: ${gib(bytes)} of slots, with its weights`,
    );
  return lines;
}

/** Why policies beside the chosen one do not fit, those with one reason together; what the verdict has said is not said again. */
function refusals(output: PoolOutput): Map<string, string[]> {
  const own = chosen(output);
  const reasons = new Map<string, string[]>();
  for (const { policy, fits, takesTurns, reason } of output.result.policies) {
    if (fits || takesTurns || reason === null || reason === own.reason) continue;
    reasons.set(reason, [...(reasons.get(reason) ?? []), visible(policy)]);
  }
  return reasons;
}

/** So many models are named one by one. */
const fewModels = 3;

function gainText(
  { result }: PoolOutput,
  own: SharedBudget,
  { models, slicesBytes, poolBytes, against }: SharingGain,
): string {
  const slices = result.policies.find(({ policy }) => policy === against)!;
  const head = `What sharing adds (${own.policy} against ${against}): while the others keep their minimum, `;
  if (!slices.fits)
    return `${head}each model can hold what the table says; ${against} does not start: ${slices.reason}.`;
  const each = models.map(({ id, sliceTokens, tokens, factor }) => {
    const more = factor === null ? '' : ` (${times(factor)})`;
    return `${nameText(id, 40)} ${thousands(tokens)} tokens instead of ${thousands(sliceTokens)}${more}`;
  });
  const factors = models.map(({ factor }) => factor ?? 1);
  const range = `each of the ${models.length} models ${times(Math.min(...factors))} to ${times(Math.max(...factors))} the tokens of its slice`;
  const margin =
    own.gpuUtilization === slices.gpuUtilization
      ? ''
      : ` (it uses up to ${own.gpuUtilization} of the GPU, they ${slices.gpuUtilization})`;
  return `${head}${models.length <= fewModels ? each.join(', ') : range}. All together have ${gib(poolBytes)} of KV cache instead of ${gib(slicesBytes)}${margin}: sharing moves memory to whoever is busy, it does not make more of it.`;
}

/** The engines of the static policy that was chosen, or that is compared with. */
export function commands(output: PoolOutput): { name: string; commands: string[] } | undefined {
  const own = chosen(output);
  const shown = own.kind === 'static' ? own : output.result.policies.find(({ policy }) => policy === own.adds?.against);
  if (!shown?.fits) return undefined;
  const all = shown.models.flatMap(({ command }) => (command === undefined ? [] : [command]));
  return all.length > 0 ? { name: shown.policy, commands: all } : undefined;
}

function runText(output: PoolOutput, paint: Paint, width: number): string {
  const run = commands(output);
  if (!run) return '';
  return `${paint.bold('Run')} (${run.name}), one after the other\n${run.commands.map((command) => brokenCommand(command.split(/ (?=--[a-z])/), width)).join('\n')}`;
}
