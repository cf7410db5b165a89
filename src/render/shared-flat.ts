// Forms of several simulated models for other programs: CSV of the figures and of who holds what over time, Markdown, annotations,
// JUnit. They carry the same figures as the JSON and compute nothing.
import type { RequirementOutcome } from '../plan/require.ts';
import type { SharedModelBrief, SharedOutput } from '../plan/shared-output.ts';
import { variantName } from '../plan/sharing/variant.ts';
import type { SharedSummary } from '../sim/sharing/result.ts';
import { annotation, csvText, githubText, type JunitCase, junitText, requirementCases } from './flat.ts';
import { escaped } from './markdown.ts';
import { meaningOf, shownColumns } from './shared-columns.ts';
import { modelSections, runSections, type Section } from './shared-sections.ts';
import {
  demandLine,
  estimateLines,
  modelLine,
  namedRuns,
  nameText,
  poolLine,
  refusedLines,
  sharedTitle,
} from './shared-text.ts';
import { caseAnnotation } from './simulate-flat.ts';
import { seconds, tokens } from './simulate-text.ts';
import { visible } from './text.ts';

/**
 * One row a run (policy, and loading behaviour or nothing where all stay in memory) of all models together, in which `model` is empty,
 * then one a model. A column that the row has no figure for is empty; columns are named by the path of the figure in
 * `policies[].pool` (or `policies[].models[]`).
 */
export function sharedCsv({ result }: SharedOutput): string {
  const head = ['policy', 'loading', 'runs', 'model', ...figures.map(([name]) => name)];
  const rows = result.policies.flatMap(({ policy, loading, runs, pool, models }) => [
    [policy, loading ?? '', String(runs), '', ...figures.map(([, of]) => of?.(pool) ?? '')],
    ...models.map((model) => [
      policy,
      loading ?? '',
      String(runs),
      model.id,
      ...figures.map(([, , of]) => of?.(model) ?? ''),
    ]),
  ]);
  return csvText([head, ...rows]);
}

type Figure = readonly [
  name: string,
  ofPool: ((pool: SharedSummary) => number) | null,
  ofModel?: (model: SharedModelBrief) => number,
];

const latencies = ['ttftSeconds', 'tpotSeconds', 'e2eSeconds', 'queueSeconds'] as const;
const statistics = ['mean', 'p50', 'p90', 'p99'] as const;
/** What summaries and models both have comes first. */
const figures: readonly Figure[] = [
  ['requests.total', ({ requests }) => requests.total, ({ requests }) => requests.total],
  ['requests.finished', ({ requests }) => requests.finished, ({ requests }) => requests.finished],
  ['requests.rejected', ({ requests }) => requests.rejected, ({ requests }) => requests.rejected],
  ['preemptions', ({ preemptions }) => preemptions, ({ preemptions }) => preemptions],
  ['refusals', ({ refusals }) => refusals, ({ refusals }) => refusals.count],
  ['refusedSeconds', ({ refusedSeconds }) => refusedSeconds, ({ refusals }) => refusals.seconds],
  ...latencies.flatMap((key) =>
    statistics.map((statistic): Figure => {
      const ofPool = (pool: SharedSummary): number => pool[key][statistic];
      if (statistic !== 'p99') return [`${key}.${statistic}`, ofPool];
      if (key === 'ttftSeconds') return [`${key}.p99`, ofPool, ({ ttftP99Seconds }) => ttftP99Seconds];
      return key === 'tpotSeconds'
        ? [`${key}.p99`, ofPool, ({ tpotP99Seconds }) => tpotP99Seconds]
        : [`${key}.p99`, ofPool];
    }),
  ),
  ['sloAttainment', ({ sloAttainment }) => sloAttainment, ({ sloAttainment }) => sloAttainment],
  ['relativeSpeed', null, ({ relativeSpeed }) => relativeSpeed],
  ['meanMappedBytes', null, ({ meanMappedBytes }) => meanMappedBytes],
  ['peakMappedBytes', null, ({ peakMappedBytes }) => peakMappedBytes],
  ...(
    [
      'poolBytes',
      'tokenShare',
      'usedShare',
      'cachedShare',
      'mappedShare',
      'fragmentationBytes',
      'fragmentationShare',
      'strandedBytes',
      'strandedTimeShare',
      'maps',
      'unmaps',
      'mapSeconds',
      'unmapSeconds',
      'denied',
      'loads',
      'unloads',
      'switches',
      'loadSeconds',
      'loadWaitSeconds',
      'fairness',
      'makespanSeconds',
      'outputTokensPerSecond',
      'busyShare',
    ] as const
  ).map((key): Figure => [key, (pool) => pool[key]]),
];

/** One row a run, point of time and model. */
export function sharedTimelineCsv({ input, result }: SharedOutput): string {
  const rows = result.policies.flatMap(({ policy, loading, timeline }) =>
    timeline.flatMap(({ t, models }) =>
      models.map(({ weights, mapped, used, running, waiting, refused }, i) => [
        policy,
        loading ?? '',
        t,
        input.models[i]?.id ?? String(i),
        weights,
        mapped,
        used,
        running,
        waiting,
        refused ? 1 : 0,
      ]),
    ),
  );
  const head = [
    'policy',
    'loading',
    't',
    'model',
    'weightsBytes',
    'mappedBytes',
    'usedBytes',
    'running',
    'waiting',
    'refused',
  ];
  return csvText([head, ...rows]);
}

export function sharedMarkdown(output: SharedOutput): string {
  const { input, result, diagnostics } = output;
  const { advice, models } = result;
  const refused = refusedLines(output).map((line) => `- ${escaped(line)}`);
  const notes = diagnostics.map(({ severity, code, message }) => `- ${severity} ${code}: ${escaped(message)}`);
  const parts = [
    `# ${escaped(sharedTitle(output))}`,
    [poolLine(output), demandLine(output)].filter(Boolean).map(escaped).join('  \n'),
    input.models.map((model) => `- ${escaped(nameText(model.id))}: ${escaped(modelLine(model))}`).join('\n'),
    advice ? `**Take ${escaped(variantName(advice, input.pool))}**: ${escaped(advice.because)}` : '',
    ...runSections(output).flatMap(sectionText),
    ...modelSections(output).flatMap(sectionText),
    ...estimateLines(models).map((text) => `Times: ${escaped(text)}`),
    ...(refused.length > 0 ? ['## Not run', refused.join('\n')] : []),
    ...(notes.length > 0 ? ['## Notes', notes.join('\n')] : []),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function sectionText<Row>(section: Section<Row>): string[] {
  return [`## ${escaped(section.title)}`, table(section), meaningOf(section), escaped(section.note)];
}

function table<Row>({ columns, rows }: Section<Row>): string {
  const shown = shownColumns(columns, rows);
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  return [
    line(['', ...shown.map(({ name }) => name)]),
    `|---|${shown.map(() => '---:|').join('')}`,
    ...rows.map(({ name, row }) => line([name, ...shown.map(({ text }) => text(row))])),
  ].join('\n');
}

/** Workflow commands of GitHub Actions: each run, what to take, each failed requirement, each diagnostic. */
export function sharedGithub(output: SharedOutput, outcomes: readonly RequirementOutcome[]): string {
  const { advice } = output.result;
  const taken = advice ? `take ${variantName(advice, output.input.pool)}: ${advice.because}` : undefined;
  const answer = [
    ...casesOf(output).map(caseAnnotation),
    ...(taken === undefined ? [] : [annotation('notice', 'vram simulate', taken)]),
  ];
  return githubText(answer, outcomes, output.diagnostics);
}

/** One test case a run, and one for each requirement. */
export function sharedJunit(output: SharedOutput, outcomes: readonly RequirementOutcome[]): string {
  return junitText('vram.simulate', sharedTitle(output), [...casesOf(output), ...requirementCases(outcomes)]);
}

function casesOf(output: SharedOutput): JunitCase[] {
  const { input, result } = output;
  const ran = namedRuns(output).map(({ name, row: { pool } }) => ({
    name: `${name}: ${tokens(pool.requests.finished)} of ${tokens(pool.requests.total)} requests, TTFT p99 ${pool.requests.finished === 0 ? '-' : seconds(pool.ttftSeconds.p99)}`,
    failure: pool.requests.finished === 0 && pool.requests.total > 0 ? 'nothing could be served' : null,
  }));
  return [
    ...ran,
    ...result.refused.map((one) => ({ name: visible(variantName(one, input.pool)), failure: one.reason })),
  ];
}
