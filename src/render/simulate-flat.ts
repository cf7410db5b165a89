// Forms of a simulation for other programs: CSV of the figures (one row a run), of the timeline and of the requests; Markdown.
// They carry the same figures as the JSON and compute nothing.
import type { RequirementOutcome } from '../plan/require.ts';
import { type CurveResult, type NamedRun, runsOf, type SimulateOutput } from '../plan/simulate-output.ts';
import { annotation, csvText, githubText, type JunitCase, junitText, requirementCases } from './flat.ts';
import { escaped } from './markdown.ts';
import { capacityText, curveGrid, namesOf } from './simulate-runs.ts';
import {
  atFoundRate,
  estimateText,
  latencyHeads,
  latencyNames,
  latencyTexts,
  maxRateText,
  poolText,
  preemptionText,
  prefixText,
  seconds,
  servedText,
  shareIds,
  shareNames,
  sharePercent,
  sharingText,
  throughputText,
  titleOf,
  usedText,
  workloadText,
} from './simulate-text.ts';

export function simulateCsv({ result }: SimulateOutput): string {
  if ('curve' in result) return curveCsv(result);
  const runs = runsOf(result);
  const settings = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))];
  const columns = figureColumns();
  const head = ['policy', 'eviction', ...settings, ...columns.map(([name]) => name)];
  const rows = runs.map((run) => [
    run.policy,
    run.eviction,
    ...settings.map((key) => run.settings[key] ?? ''),
    ...columns.map(([, value]) => value(run)),
  ]);
  return csvText([head, ...rows]);
}

function curveCsv({ curve }: CurveResult): string {
  const rows = curve.map((point) => [
    point.eviction,
    point.capacityBlocks ?? 'inf',
    point.queriedBlocks,
    point.hitBlocks,
    point.blockHitRate,
  ]);
  return csvText([['eviction', 'capacityBlocks', 'queriedBlocks', 'hitBlocks', 'blockHitRate'], ...rows]);
}

type Column = readonly [name: string, value: (run: NamedRun) => number];

/** Every single figure, named by its path in the JSON. */
function figureColumns(): Column[] {
  return [
    ['requests.total', (run) => run.requests.total],
    ['requests.finished', (run) => run.requests.finished],
    ['requests.rejected', (run) => run.requests.rejected],
    ['steps', (run) => run.steps],
    ['scheduledTokens', (run) => run.scheduledTokens],
    ['makespanSeconds', (run) => run.makespanSeconds],
    ['pool.numBlocks', (run) => run.pool.numBlocks],
    ['pool.blockSize', (run) => run.pool.blockSize],
    ['memory.meanUtilization', (run) => run.memory.meanUtilization],
    ['memory.peakUtilization', (run) => run.memory.peakUtilization],
    ...shareIds.map((id): Column => [`memory.shares.${id}`, (run) => run.memory.shares[id]]),
    ['prefixCache.hitRate', (run) => run.prefixCache.hitRate],
    ['prefixCache.hitTokens', (run) => run.prefixCache.hitTokens],
    ['prefixCache.evictions', (run) => run.prefixCache.evictions],
    ['preemptions.recompute', (run) => run.preemptions.recompute],
    ['preemptions.swap', (run) => run.preemptions.swap],
    ['preemptions.recomputedTokens', (run) => run.preemptions.recomputedTokens],
    ['copyOnWrite.copies', (run) => run.copyOnWrite.copies],
    ['copyOnWrite.savedBlocksShare', (run) => run.copyOnWrite.savedBlocksShare],
    ...latencyNames.flatMap(([key]) =>
      latencyHeads.map((statistic): Column => [`latency.${key}.${statistic}`, (run) => run.latency[key][statistic]]),
    ),
    ['throughput.requestsPerSecond', (run) => run.throughput.requestsPerSecond],
    ['throughput.outputTokensPerSecond', (run) => run.throughput.outputTokensPerSecond],
    ['throughput.meanBatch', (run) => run.throughput.meanBatch],
  ];
}

/** One row a point of time and run; a run column where there are several. */
export function timelineCsv(runs: readonly NamedRun[]): string {
  const names = namesOf(runs);
  const several = runs.length > 1;
  const rows = runs.flatMap(({ timeline, pool }, i) =>
    timeline.map((point) => [
      ...(several ? [names[i]!] : []),
      point.t,
      point.usedBlocks,
      point.cachedBlocks,
      Math.max(0, pool.numBlocks - 1 - point.usedBlocks - point.cachedBlocks),
      point.tokenStates,
      point.reserved,
      point.internalFragmentation,
      point.externalFragmentation,
      point.running,
      point.waiting,
      point.swapped,
      point.preemptions,
    ]),
  );
  const head = [
    't',
    'usedBlocks',
    'cachedBlocks',
    'freeBlocks',
    'tokenStates',
    'reserved',
    'internalFragmentation',
    'externalFragmentation',
    'running',
    'waiting',
    'swapped',
    'preemptions',
  ];
  return csvText([[...(several ? ['run'] : []), ...head], ...rows]);
}

export function simulateMarkdown(output: SimulateOutput): string {
  const { result, diagnostics } = output;
  const notes = diagnostics.map(({ severity, code, message }) => `- ${severity} ${code}: ${escaped(message)}`);
  const search = 'maxRate' in result ? result.maxRate : undefined;
  const body = 'curve' in result ? curveMarkdown(result) : search?.scale === null ? [] : runsMarkdown(output);
  const parts = [
    `# ${escaped(titleOf(output))}`,
    ...('curve' in result ? [] : [escaped(workloadText(atFoundRate(output)))]),
    ...(search ? [`Highest rate: ${escaped(maxRateText(search))}`] : []),
    ...body,
    ...(notes.length > 0 ? ['## Notes', notes.join('\n')] : []),
  ];
  return `${parts.join('\n\n')}\n`;
}

function curveMarkdown(result: CurveResult): string[] {
  const { evictions, capacities, at } = curveGrid(result);
  const rows = capacities.map((capacity) => [
    capacityText(capacity),
    ...evictions.map((eviction) => at(eviction, capacity)?.blockHitRate.toFixed(4) ?? ''),
  ]);
  return ['## Block hit rate by capacity in blocks', table(['capacity', ...evictions], rows), result.counting];
}

function runsMarkdown({ input, result }: SimulateOutput): string[] {
  const runs = runsOf(result);
  const names = namesOf(runs);
  const line = (name: string, value: (run: NamedRun) => string): string[] => [name, ...runs.map(value)];
  const rows = [
    line('requests served', servedText),
    line('blocks', (run) => poolText(run, input)),
    ...shareIds.map((id) => line(shareNames[id], ({ memory }) => sharePercent(memory.shares, id))),
    line('blocks used', usedText),
    line('prefix cache', prefixText),
    line('preemptions', preemptionText),
    line('sharing', (run) => sharingText(run) ?? 'none'),
    ...latencyNames.map(([key, name]) =>
      line(`${name} ${latencyHeads.join(' / ')}`, (run) => latencyTexts(run, key).join(' / ')),
    ),
    line('throughput', throughputText),
    line('times', estimateText),
  ];
  const parts = [table(['', ...names], rows)];
  if ('runs' in result) {
    for (const { policy, reason } of result.refused) parts.push(`Not run: ${escaped(policy)}: ${escaped(reason)}`);
  } else if ('advice' in result && result.advice.length > 0) {
    const entries = result.advice.map(({ change, effect }) => `- ${escaped(change)}: ${escaped(effect)}`);
    parts.push('## Try (each one simulated)', entries.join('\n'));
  }
  return parts;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  return [line(head), `|${head.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`, ...rows.map(line)].join('\n');
}

/** Workflow commands of GitHub Actions: what was served, each failed requirement, each run that could not be made, each diagnostic. */
export function simulateGithub(output: SimulateOutput, outcomes: readonly RequirementOutcome[]): string {
  return githubText(casesOf(output).map(caseAnnotation), outcomes, output.diagnostics);
}

/** A run as an annotation. */
export function caseAnnotation({ name, failure }: JunitCase): string {
  return annotation(failure === null ? 'notice' : 'error', 'vram simulate', `${name}: ${failure ?? 'served'}`);
}

/** One test case a run, and one for each requirement. */
export function simulateJunit(output: SimulateOutput, outcomes: readonly RequirementOutcome[]): string {
  return junitText('vram.simulate', titleOf(output), [...casesOf(output), ...requirementCases(outcomes)]);
}

function casesOf({ result }: SimulateOutput): JunitCase[] {
  if ('curve' in result) return [];
  const runs = runsOf(result);
  const names = namesOf(runs);
  const served = runs.map((run, i) => ({
    name: `${names[i]}: ${servedText(run)} ${run.requests.total === 1 ? 'request' : 'requests'}, TTFT p99 ${seconds(run.latency.ttftSeconds.p99)}`,
    failure: run.requests.finished === 0 ? 'nothing could be served' : null,
  }));
  const refused =
    'refused' in result ? result.refused.map(({ policy, reason }) => ({ name: policy, failure: reason })) : [];
  return [...served, ...refused];
}
