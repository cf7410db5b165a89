// From the words of a comparison to its rows: lists resolved, every combination planned, rows filtered, ordered, grouped, compared. Rows
// that only pass through (CSV without an order) are written as they come; everything else is kept as cells.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { plannedFlags } from '../load/flags.ts';
import { type Cells, cellOf, rowOf } from '../plan/compare/cells.ts';
import { type Column, columns } from '../plan/compare/columns.ts';
import { Baseline, baselineOf, diffOf as rowDiff } from '../plan/compare/diff.ts';
import { parseFilter } from '../plan/compare/filter.ts';
import { columnNamed } from '../plan/compare/names.ts';
import { parseOrder, usualOrder } from '../plan/compare/order.ts';
import type { CompareColumn, CompareOutput, CompareResult } from '../plan/compare/output.ts';
import { parsePareto } from '../plan/compare/pareto.ts';
import { envelope } from '../plan/output.ts';
import { usualContext } from '../plan/speed/shape.ts';
import { csvHead } from '../render/compare-csv.ts';
import { parseCount } from '../spec/count.ts';
import type { CompareArguments } from './compare-arguments.ts';
import { readBaseline } from './compare-baseline.ts';
import { type Chunk, runCompareJobs } from './compare-jobs.ts';
import { Keeper } from './compare-keeper.ts';
import type { CompareLine, CompareSetup } from './compare-line.ts';
import { counts, engineEntries, gpuEntries, modelRefs, schemesFor, words } from './compare-lists.ts';
import { priceRules } from './compare-price.ts';
import { releaseDiffs } from './compare-releases.ts';
import { checkChoices } from './plan-checks.ts';

export interface CompareAsked {
  setup: CompareSetup;
  lines: CompareLine[];
  input: Record<string, unknown>;
  diagnostics: Diagnostic[];
}

/** Combinations that one command plans at most. */
const mostCombinations = 5_000_000;

export async function resolveCompare(args: CompareArguments, io: Io): Promise<CompareAsked> {
  if (args.model === undefined) throw missing('model', 'llama-3.1-8b,qwen3-8b');
  if (args.gpu === undefined) throw missing('gpu', 'rtx4090,l40s,h100-sxm, or all');
  const models = await modelRefs(args.model, io);
  const gpus = await gpuEntries(args.gpu, io);
  const engines = engineEntries(args.engine);
  const schemes = schemesFor(args.quantization);
  const caches = args.kvCacheDtype === undefined ? [undefined] : words(args.kvCacheDtype, '--kv-cache-dtype');
  if (engines.every(({ id }) => id === 'vllm'))
    for (const kvCacheDtype of caches)
      checkChoices({ ...args.given, ...(kvCacheDtype === undefined ? {} : { kvCacheDtype }) }, plannedFlags());
  const contexts = optionalCounts(args.context, '--context');
  const concurrencies = optionalCounts(args.concurrency, '--concurrency');
  const shortest = Math.min(...contexts.map((tokens) => tokens ?? usualContext));
  if (args.outputTokens !== undefined && args.outputTokens >= shortest)
    throw inputError('VRAM720', `of ${shortest} tokens of a sequence, ${args.outputTokens} cannot be the answer`, {
      hint: 'the answer is a part of --context: make --context longer or --output-tokens fewer',
      path: '--output-tokens',
    });
  const layouts = layoutsOf(args);
  const whole = args.tp === undefined && args.pp === undefined && args.dp === undefined;
  const lines: CompareLine[] = [];
  for (const model of models)
    for (const engine of engines)
      for (const quantization of schemes.of(engine.id))
        for (const kvCacheDtype of caches)
          for (const layout of engine.id === 'vllm' ? layouts : llamaLayouts(layouts))
            for (const context of contexts)
              for (const concurrency of concurrencies)
                lines.push({
                  model,
                  engine,
                  quantization,
                  kvCacheDtype,
                  ...layout,
                  context,
                  concurrency,
                  ...(whole ? { whole } : {}),
                });
  const total = lines.length * gpus.length;
  if (total > mostCombinations)
    throw inputError('VRAM708', `${total.toLocaleString('en-US')} combinations are too many`, {
      hint: `at most ${mostCombinations.toLocaleString('en-US')}: name fewer models, GPUs, schemes or layouts`,
    });
  const { given, llama } = args;
  const diagnostics = leftOut(engines, schemes);
  const shared = { require: [], matrix: false, explain: false, given, llama };
  return {
    setup: { args: shared, gpus, prices: await priceRules(args, io, diagnostics), outputTokens: args.outputTokens },
    lines,
    input: {
      models,
      gpus: gpus.map(({ label }) => label),
      engines: engines.map(({ label }) => label),
      quantizations: schemes.all.map((id) => id ?? null),
      kvCacheDtypes: caches.map((type) => type ?? null),
      layouts: whole ? [] : layouts,
      contexts: contexts.map((value) => value ?? null),
      concurrencies: concurrencies.map((value) => value ?? null),
      outputTokens: args.outputTokens ?? null,
      options: { ...given, ...llama },
      filter: args.filter ?? null,
      sort: args.sort ?? null,
    },
    diagnostics,
  };
}

function missing(what: string, example: string): Error {
  return inputError('VRAM709', `no ${what} is given`, {
    hint: `add --${what}, e.g. --${what} ${example}`,
    path: `--${what}`,
  });
}

function optionalCounts(text: string | undefined, option: string): (number | undefined)[] {
  return text === undefined ? [undefined] : words(text, option).map((word) => parseCount(word, option));
}

type Layout = Pick<CompareLine, 'tp' | 'pp' | 'dp'>;

function layoutsOf({ tp, pp, dp }: CompareArguments): Layout[] {
  const layouts: Layout[] = [];
  for (const replicas of counts(dp, '--dp'))
    for (const stages of counts(pp, '--pp'))
      for (const size of counts(tp, '--tp')) layouts.push({ tp: size, pp: stages, dp: replicas });
  return layouts;
}

/** llama.cpp knows how many GPUs it has, and nothing of layouts. */
function llamaLayouts(layouts: readonly Layout[]): Layout[] {
  const sizes = layouts.filter(({ dp }) => dp === 1).map(({ tp, pp }) => tp * pp);
  return [...new Set(sizes)].map((tp) => ({ tp, pp: 1, dp: 1 }));
}

function leftOut(engines: ReturnType<typeof engineEntries>, schemes: ReturnType<typeof schemesFor>): Diagnostic[] {
  return engines.flatMap(({ id, label }): Diagnostic[] => {
    const own = new Set(schemes.of(id));
    const without = schemes.all.filter((scheme) => !own.has(scheme));
    if (without.length === 0) return [];
    return [
      {
        severity: 'note',
        code: 'VRAM710',
        message: `left out with ${label}, which has no such checkpoints: ${without.join(', ')}`,
        path: '--quantization',
      },
    ];
  });
}

/** Rows as they come, written at once; only what is counted stays. */
export async function streamCompare(
  asked: CompareAsked,
  args: CompareArguments,
  io: Io,
  write: (text: string) => Promise<void>,
): Promise<CompareResult['combinations']> {
  const combinations = { planned: 0, fitting: 0, kept: 0 };
  await write(csvHead());
  const take = async (chunk: Chunk): Promise<void> => {
    count(combinations, chunk);
    if (chunk.csv !== '') await write(chunk.csv);
  };
  await runCompareJobs({ ...asked, filter: args.filter, form: 'csv', io, take });
  return combinations;
}

export async function compareRows(asked: CompareAsked, args: CompareArguments, io: Io): Promise<CompareOutput> {
  const order = parseOrder(args.sort ?? usualOrder);
  const front = args.pareto === undefined ? undefined : parsePareto(args.pareto);
  const group = args.groupBy === undefined ? undefined : columnNamed(args.groupBy, '--group-by');
  const keeper = new Keeper(args, order, front, group);
  const combinations = { planned: 0, fitting: 0, kept: 0 };
  let first: Cells | undefined;
  const take = async (chunk: Chunk): Promise<void> => {
    count(combinations, chunk);
    first ??= chunk.rows[0];
    for (const cells of chunk.rows) keeper.add(cells);
  };
  if (args.filter !== undefined) parseFilter(args.filter);
  const baseline = typeof args.diff === 'string' ? new Baseline(readBaseline(args.diff, io)) : undefined;
  await runCompareJobs({ ...asked, filter: args.filter, form: 'cells', io, take });
  combinations.kept = keeper.seen;
  const cells = keeper.rows();
  const result: CompareResult = {
    combinations,
    columns: columns.map(toPlain),
    rows: cells.map(rowOf),
    pareto: front ? { columns: front.map(({ key }) => key), rows: keeper.frontOf(cells) } : null,
    ...(group ? { groups: keeper.groups(cells, group) } : {}),
    ...(args.diff === undefined ? {} : { diff: await diffOf(args, asked, cells, baseline ?? first, io) }),
  };
  return envelope('compare', asked.input, result, [...asked.diagnostics, ...tooLong(cells, args)]) as CompareOutput;
}

/** Many a start fails only because the model's longest sequence has to fit. */
function tooLong(rows: readonly Cells[], { given, context }: CompareArguments): Diagnostic[] {
  if (given.maxModelLen !== undefined) return [];
  const failing = rows.filter((cells) => /^one sequence of /.test(String(cellOf(cells, 'verdict.reason')))).length;
  if (failing === 0) return [];
  return [
    {
      severity: 'note',
      code: 'VRAM719',
      message: `${failing} of the combinations would start with a shorter --max-model-len: the engine wants room for one sequence of the longest`,
      hint: `add --max-model-len ${context ?? '16k'}`,
      path: '--max-model-len',
    },
  ];
}

function toPlain({ key, title, unit, better, estimate, description }: Column): CompareColumn {
  return { key, title, unit, better, estimate, description };
}

function count(into: CompareResult['combinations'], chunk: Chunk): void {
  into.planned += chunk.planned;
  into.fitting += chunk.fitting;
}

async function diffOf(
  args: CompareArguments,
  asked: CompareAsked,
  cells: readonly Cells[],
  against: Baseline | Cells | undefined,
  io: Io,
): Promise<NonNullable<CompareResult['diff']>> {
  if (!(against instanceof Baseline)) {
    const first = against;
    const base = first ? baselineOf(first) : undefined;
    return {
      baseline: first ? String(cellOf(first, 'id')) : '',
      rows: cells.map((row) => rowDiff(row, base)),
      releases: await releaseDiffs(asked, io),
    };
  }
  return { baseline: String(args.diff), rows: cells.map((row) => against.diff(row)), releases: [] };
}
