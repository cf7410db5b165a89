// `npm run accuracy`: the published start-up logs through the command line, predicted against observed per quantity, every case off by
// more than 1 %. With --write the README's accuracy table is rewritten from the same figures.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PlanOutput } from '../src/plan/output.ts';
import { type LlamaLoadCase, type LlamaLoadJudgement, loadRows, scoreLoads } from './lib/llama-loads.ts';
import { replaceBlock } from './lib/readme-block.ts';
import {
  type Judgement,
  type PlanRun,
  quantile,
  quantities,
  type StartupCase,
  type StartupScore,
  scoreStartups,
  statistics,
  worstOfGroups,
} from './lib/startups.ts';
import { judgeLine } from './oracle/judge.ts';
import type { OracleLine } from './oracle/line.ts';
import { judgeLlamaCase } from './oracle/llama-judge.ts';
import type { LlamaOracleFile } from './oracle/llama-line.ts';
import { llamaReport } from './oracle/llama-report.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const execute = promisify(execFile);
const residualReasons: Record<string, string> = JSON.parse(
  readFileSync(`${root}test/ground-truth/residuals.json`, 'utf8'),
);

async function runCli(args: readonly string[]): Promise<PlanRun> {
  try {
    const { stdout } = await execute(process.execPath, [`${root}bin/vram.js`, ...args], { maxBuffer: 2 ** 26 });
    return { exitCode: 0, plan: (JSON.parse(stdout) as PlanOutput).result };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    if (code === 1 && stdout) return { exitCode: 1, plan: (JSON.parse(stdout) as PlanOutput).result };
    return { exitCode: typeof code === 'number' ? code : 70, message: stderr?.trim().split('\n')[0] };
  }
}

const file =
  process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? `${root}test/ground-truth/vllm-startups.json`;
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: StartupCase[] };
const score = await scoreStartups(cases, runCli);
const lines = [...report(score), '', ...oracleReport(), '', ...(await llamaReports())];
console.log(lines.join('\n'));
if (process.argv.includes('--write')) writeReadme(lines);

function report({ judgements, refused, wrongVerdicts, verdicts }: StartupScore): string[] {
  const onHopper19 = judgements.filter(
    ({ case: c, quantity }) => quantity === 'kv' && c.vllmVersion.startsWith('0.19') && c.gpu === 'h100-sxm',
  );
  return [
    `${cases.length} published start-ups; ${refused.length} not planned; ${wrongVerdicts.length} of ${verdicts} verdicts wrong.`,
    '',
    '| quantity | cases | median | 90th percentile | largest | signed median | groups | median | 90th percentile |',
    '|---|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...quantities.map((quantity) =>
      row(
        quantity,
        judgements.filter((j) => j.quantity === quantity),
      ),
    ),
    row('kv, 0.19 on H100', onHopper19),
    '',
    bytesToTokensLine(judgements),
    ...refused.map(({ id, message }) => `- not planned: ${id}: ${message}`),
    ...wrongVerdicts.map(
      ({ id, outcome, fits }) => `- verdict: ${id}: ${outcome}, predicted ${fits ? 'fits' : 'does not fit'}`,
    ),
    '',
    'Off by more than 1 % (weights or KV bytes):',
    '',
    '| case | quantity | predicted | observed | error | reason known so far |',
    '|---|---|--:|--:|--:|---|',
    ...judgements
      .filter((j) => (j.quantity === 'weights' || j.quantity === 'kv') && Math.abs(j.error) > 0.01)
      .map(offRow),
  ];
}

/** Every case for itself, then cases alike counted once by their worst. */
function row(name: string, judgements: readonly Judgement[]): string {
  const cases = statistics(judgements);
  const groups = statistics(worstOfGroups(judgements));
  const p = (value: number): string => `${(value * 100).toFixed(3)} %`;
  return `| ${name} | ${cases.count} | ${p(cases.median)} | ${p(cases.p90)} | ${p(cases.max)} | ${p(cases.signedMedian)} | ${groups.count} | ${p(groups.median)} | ${p(groups.p90)} |`;
}

function bytesToTokensLine(judgements: readonly Judgement[]): string {
  const all = judgements.filter((j) => j.quantity === 'bytesToTokens');
  const outside = all.filter((j) => Math.abs(j.error) > j.allowed!);
  const list = outside
    .map((j) => `\n- ${j.case.id}: ${j.predicted} for ${j.observed} (${(j.error * 100).toFixed(3)} %)`)
    .join('');
  return `Bytes to tokens (KV memory given): ${all.length - outside.length} of ${all.length} within the printed decimals.${list}`;
}

/** The second judge: what the releases' own classes answer, line by line of the oracle file. */
function oracleReport(): string[] {
  const verdicts = readFileSync(`${root}test/ground-truth/vllm-oracle.jsonl`, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => judgeLine(JSON.parse(line) as OracleLine, { weights: true, kv: true }));
  const failed = verdicts.filter(({ failures }) => failures.length > 0);
  const counts = new Map<string, { passed: number; all: number }>();
  for (const { name, passed } of verdicts.flatMap(({ checks }) => checks)) {
    const count = counts.get(name) ?? { passed: 0, all: 0 };
    counts.set(name, { passed: count.passed + Number(passed), all: count.all + 1 });
  }
  const families = new Set(verdicts.map(({ line }) => line.resolved?.architecture).filter(Boolean));
  return [
    `${verdicts.length} cases of vLLM's own classes (${families.size} model classes, 15 releases from 0.11 to 0.33): ${verdicts.length - failed.length} agree in every figure.`,
    '',
    '| quantity | agree | of |',
    '|---|--:|--:|',
    ...[...counts].map(([name, { passed, all }]) => `| ${name} | ${passed} | ${all} |`),
    ...failed.map(({ line, failures }) => `- ${line.id}: ${failures.join('; ')}`),
  ];
}

/** llama.cpp: published load logs, then what released builds allocate. */
async function llamaReports(): Promise<string[]> {
  const read = <File>(name: string): File =>
    JSON.parse(readFileSync(`${root}test/ground-truth/${name}`, 'utf8')) as File;
  const { cases: loads } = read<{ cases: LlamaLoadCase[] }>('llamacpp-loads.json');
  const scored = await scoreLoads(loads, runCli);
  const p = (value: number): string => `${(value * 100).toFixed(3)} %`;
  const { cases: allocated } = read<LlamaOracleFile>('llamacpp-oracle.json');
  const verdicts = allocated.filter(({ modelSlug }) => modelSlug !== null).map(judgeLlamaCase);
  const agree = verdicts.filter(({ failures }) => failures.length === 0).length;
  return [
    `${loads.length} published llama.cpp loads (b2700 to b10488); ${scored.refused.length} not planned.`,
    '',
    '| buffer | figures | median | 90th percentile | largest |',
    '|---|--:|--:|--:|--:|',
    ...loadRows(scored).map(
      ({ name, errors }) =>
        `| ${name} | ${errors.length} | ${p(quantile(errors, 0.5))} | ${p(quantile(errors, 0.9))} | ${p(errors.at(-1) ?? 0)} |`,
    ),
    ...scored.refused.map(({ id, message }) => `- not planned: ${id}: ${message}`),
    ...scored.judgements.filter(({ error }) => Math.abs(error) > 0.01).map(loadOffLine),
    '',
    `${verdicts.length} loads and -fit decisions of released llama.cpp builds (b4753 to v0.5.0): ${agree} agree in every byte.`,
    '',
    ...llamaReport(verdicts),
  ];
}

function loadOffLine({ case: c, kind, place, predicted, observed, error }: LlamaLoadJudgement): string {
  return `- ${c.id}, ${kind} ${place}: ${predicted.toFixed(2)} for ${observed} MiB (${(error * 100).toFixed(2)} %): ${residualReasons[`${c.id}#${kind}`] ?? 'reason not known'}`;
}

function offRow(j: Judgement): string {
  const reason =
    residualReasons[`${j.case.group}#${j.quantity}`] ??
    residualReasons[j.case.group] ??
    residualReasons[j.case.id] ??
    'not known';
  return `| ${j.case.id} | ${j.quantity} | ${j.predicted.toFixed(3)} | ${j.observed} | ${(j.error * 100).toFixed(2)} % | ${reason} |`;
}

/** The README's table is what the program prints; its other blocks are written by `npm run readme`. */
function writeReadme(table: readonly string[]): void {
  const path = `${root}README.md`;
  writeFileSync(path, replaceBlock(readFileSync(path, 'utf8'), 'accuracy', table));
}
