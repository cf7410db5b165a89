// `vram compare --for`: a scenario's lists and options in the place of what was not given on the command line, every combination planned,
// those that meet the conditions ranked, and the best planned once more as `vram plan` does, so that the flags are those that were judged.
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { resolveScenario } from '../load/scenario.ts';
import { type Cells, cellOf, rowOf } from '../plan/compare/cells.ts';
import { columns } from '../plan/compare/columns.ts';
import { parseFilter } from '../plan/compare/filter.ts';
import { columnNamed } from '../plan/compare/names.ts';
import type { CompareOutput } from '../plan/compare/output.ts';
import { chooseRows, lossReason } from '../plan/compare/scenario-choice.ts';
import { judgeClaim, meets, wordsOf } from '../plan/compare/scenario-claim.ts';
import type { ScenarioDeployment, ScenarioModel, ScenarioResult } from '../plan/compare/scenario-output.ts';
import { type ScenarioRules, scenarioRules } from '../plan/compare/scenario-rules.ts';
import { envelope } from '../plan/output.ts';
import { parseCount } from '../spec/count.ts';
import type { ScenarioLoad, ScenarioObjective, ScenarioPreset } from '../spec/scenario.ts';
import type { CompareArguments } from './compare-arguments.ts';
import { runCompareJobs } from './compare-jobs.ts';
import { type CompareAsked, resolveCompare } from './compare-request.ts';
import { deploymentOf } from './compare-scenario-plan.ts';
import { kindOf, withScenario } from './compare-scenario-words.ts';

/** Deployments that are shown of the first model. */
const usualCount = 3;

export async function compareScenario(args: CompareArguments, io: Io): Promise<CompareOutput> {
  refuseBeside(args);
  const scenario = await resolveScenario(args.scenario!, { env: io.env });
  const load = loadOf(args, scenario);
  const given = withOwn(args, scenario);
  const asked = await resolveCompare(await withScenario(args, scenario, load, io), io);
  const boxes = new Set(asked.setup.gpus.filter(({ count }) => count !== null).map(({ label }) => label));
  const rules = scenarioRules(given, load, boxes);
  const rows = await rowsOf(asked, io);
  const filter = args.filter === undefined ? () => true : parseFilter(args.filter);
  const byModel = new Map<string, Cells[]>();
  for (const cells of rows.all.filter(filter)) {
    const model = String(cellOf(cells, 'model'));
    byModel.set(model, [...(byModel.get(model) ?? []), cells]);
  }
  const models = await modelsOf(byModel, rules, args.top ?? usualCount, asked, io);
  const result = resultOf({ scenario: given, load, rules, models, rows: rows.all.filter(filter) });
  const meeting = bestFirst(
    rows.all.filter((cells) => filter(cells) && meets(cells, rules)),
    rules,
  );
  const shown = args.format === 'html' || args.format === 'csv' ? meeting.map(rowOf) : shownRows(result);
  const { planned, fitting } = rows;
  return envelope(
    'compare',
    { ...asked.input, scenario: scenario.id },
    {
      combinations: { planned, fitting, kept: meeting.length },
      columns: columns.map(({ key, title, unit, better, estimate, description }) => ({
        ...{ key, title, unit, better, estimate, description },
      })),
      rows: shown,
      pareto: null,
      scenario: result,
    },
    // That AWQ is nothing for llama.cpp need not be told to somebody who has not asked for either.
    asked.diagnostics.filter(({ code }) => code !== 'VRAM710' || args.quantization !== undefined),
  ) as CompareOutput;
}

/** By the first objective; what is not known comes last. */
function bestFirst(rows: Cells[], { objectives }: ScenarioRules): Cells[] {
  const { value, better } = objectives[0]!;
  const rank = (cells: Cells): number => {
    const figure = value(cells);
    return Number.isNaN(figure) ? Number.MAX_VALUE : better === 'less' ? figure : -figure;
  };
  return rows.sort((a, b) => rank(a) - rank(b));
}

/** The three of the first model, and the best of each other one. */
async function modelsOf(
  byModel: ReadonlyMap<string, Cells[]>,
  rules: ScenarioRules,
  most: number,
  asked: CompareAsked,
  io: Io,
): Promise<ScenarioModel[]> {
  const models: ScenarioModel[] = [];
  for (const [model, rows] of byModel) {
    const meeting = rows.filter((cells) => meets(cells, rules));
    const first = models.every(({ deployments }) => deployments.length === 0);
    const chosen = chooseRows(meeting, rules.objectives, { most: first ? most : 1, kindOf });
    const deployments: ScenarioDeployment[] = [];
    for (const [at, cells] of chosen.entries()) {
      deployments.push({
        rank: at + 1,
        id: String(cellOf(cells, 'id')),
        words: wordsOf(cells, rules),
        row: rowOf(cells),
        ...(await deploymentOf(cells, asked, io)),
        losesBecause: at === 0 ? null : lossReason(cells, chosen[at - 1]!, rules.objectives),
      });
    }
    models.push({
      model,
      combinations: { planned: rows.length, fitting: rows.filter(isFitting).length, meeting: meeting.length },
      deployments,
      ...judgeClaim({ rows, best: chosen[0], rules }),
    });
  }
  return models;
}

interface ResultInput {
  scenario: ScenarioPreset;
  load: ScenarioLoad;
  rules: ScenarioRules;
  models: readonly ScenarioModel[];
  rows: readonly Cells[];
}

function resultOf({ scenario, load, rules, models, rows }: ResultInput): ScenarioResult {
  const first = models.find(({ deployments }) => deployments.length > 0);
  const fitting = rows.filter(isFitting);
  const { id, name, question, claim, notes = [] } = scenario;
  return {
    id,
    name,
    question,
    load: { ...load, context: load.promptTokens + load.outputTokens },
    constraints: rules.constraints.map(({ because, expression, source = null }) => ({ because, expression, source })),
    objective: rules.objectives.map(({ title, by, better, within = 0 }) => ({ title, by, better, within })),
    claim: claim.advice,
    holds: first?.holds ?? null,
    because: first?.because ?? ['nothing meets the conditions'],
    model: first?.model ?? null,
    deployments: first?.deployments ?? [],
    others: models.filter((model) => model !== first),
    broken: first
      ? []
      : rules.constraints
          .map(({ because, expression, holds }) => ({
            because,
            expression,
            rows: fitting.filter((cells) => !holds(cells)).length,
          }))
          .filter(({ rows: count }) => count > 0),
    notes: [...notes],
  };
}

function shownRows({ deployments, others }: ScenarioResult): CompareOutput['result']['rows'] {
  return [...deployments, ...others.flatMap((other) => other.deployments)].map(({ row }) => row);
}

async function rowsOf(asked: CompareAsked, io: Io): Promise<{ all: Cells[]; planned: number; fitting: number }> {
  const rows = { all: [] as Cells[], planned: 0, fitting: 0 };
  await runCompareJobs({
    ...asked,
    filter: undefined,
    form: 'cells',
    io,
    take: async (chunk) => {
      rows.planned += chunk.planned;
      rows.fitting += chunk.fitting;
      for (const cells of chunk.rows) rows.all.push(cells);
    },
  });
  return rows;
}

function isFitting(cells: Cells): boolean {
  return cellOf(cells, 'fits') === true;
}

/** The load asked for on the command line goes before the scenario's, one of each. */
function loadOf({ context, concurrency, outputTokens }: CompareArguments, { load }: ScenarioPreset): ScenarioLoad {
  const one = (text: string | undefined, option: string): number | undefined =>
    text === undefined ? undefined : parseCount(text, option, { min: option === '--context' ? 2 : 1 });
  const whole = one(context, '--context') ?? load.promptTokens + load.outputTokens;
  const share = load.outputTokens / (load.promptTokens + load.outputTokens);
  const answer = Math.min(outputTokens ?? Math.max(1, Math.round(whole * share)), whole - 1);
  return {
    promptTokens: whole - answer,
    outputTokens: answer,
    concurrency: one(concurrency, '--concurrency') ?? load.concurrency,
    ...(load.longest === undefined ? {} : { longest: load.longest }),
  };
}

/** --sort in the place of the objectives. */
function withOwn({ sort }: CompareArguments, scenario: ScenarioPreset): ScenarioPreset {
  if (sort === undefined) return scenario;
  const objective = sort.split(',').map((word): ScenarioObjective => {
    const name = word.trim();
    const { key, title, unit, better } = columnNamed(name.replace(/^[-+]/, ''), '--sort');
    const more = name.startsWith('-') || (!name.startsWith('+') && better === 'more');
    return { by: key, title: title.toLowerCase(), unit: unit ?? '', better: more ? 'more' : 'less' };
  });
  return { ...scenario, objective };
}

function refuseBeside({ pareto, groupBy, diff }: CompareArguments): void {
  const option = pareto !== undefined ? '--pareto' : groupBy !== undefined ? '--group-by' : '--diff';
  if (pareto === undefined && groupBy === undefined && diff === undefined) return;
  throw inputError('VRAM716', `--for chooses by itself, so ${option} does not go with it`, {
    hint: '--filter narrows what it chooses from, --sort says by what, --top how many',
    path: option,
  });
}
