// Judges the library against a file of what released engines answer about themselves: vLLM's classes (vram-vllm-oracle/1, one case a
// line: weight bytes per rank, KV blocks, tokens and concurrency per pool, refusals) or llama.cpp's loads (vram-llamacpp-oracle/1:
// every buffer to the byte, -fit decisions, refusals). Prints one line per failing case, a summary, and last "N passed, N failed".
//   npm run oracle -- FILE [--only REGEX] [--weights-only | --kv-only] [--quiet]
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { judgeLine, type Verdict } from './oracle/judge.ts';
import type { OracleLine } from './oracle/line.ts';
import { judgeLlamaCase } from './oracle/llama-judge.ts';
import type { LlamaOracleFile } from './oracle/llama-line.ts';
import { llamaReport } from './oracle/llama-report.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    'weights-only': { type: 'boolean', default: false },
    'kv-only': { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
  },
});

const file = positionals[0] ?? 'test/ground-truth/vllm-oracle.jsonl';
const only = values.only ? new RegExp(values.only) : undefined;
const text = readFileSync(file, 'utf8');
if (text.startsWith('{') && text.slice(0, 2000).includes('vram-llamacpp-oracle/')) judgeLlama();
else judgeVllm();

function judgeLlama(): void {
  const { cases } = JSON.parse(text) as LlamaOracleFile;
  const judged = cases.filter(({ id, modelSlug }) => modelSlug !== null && (!only || only.test(id)));
  const verdicts = judged.map(judgeLlamaCase);
  if (!values.quiet) {
    for (const { case: line, failures } of verdicts) {
      for (const failure of failures) console.log(`${line.id}: ${failure}`);
    }
  }
  console.log(`\n${llamaReport(verdicts).join('\n')}`);
  const failed = verdicts.filter(({ failures }) => failures.length > 0).length;
  console.log(`${verdicts.length - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

function judgeVllm(): void {
  const lines = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as OracleLine)
    .filter((line) => !only || only.test(line.id));

  const verdicts: Verdict[] = [];
  for (const line of lines) {
    const verdict = judgeLine(line, { weights: !values['kv-only'], kv: !values['weights-only'] });
    verdicts.push(verdict);
    if (!values.quiet) for (const failure of verdict.failures) console.log(`${line.id}: ${failure}`);
  }

  console.log('');
  summary('quantity', verdicts, (verdict) => verdict.checks);
  summary('family', verdicts, (verdict) => oneCheck(verdict, verdict.line.resolved?.architecture ?? 'refused'));
  summary('scheme', verdicts, (verdict) => oneCheck(verdict, verdict.line.quantization ?? "checkpoint's own"));
  const failed = verdicts.filter((verdict) => verdict.failures.length > 0).length;
  console.log(`${verdicts.length - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

type Check = { name: string; passed: boolean };

function oneCheck(verdict: Verdict, name: string): Check[] {
  return [{ name, passed: verdict.failures.length === 0 }];
}

/** Passed and failed per name; names without failures share one line. */
function summary(title: string, all: readonly Verdict[], checks: (verdict: Verdict) => readonly Check[]): void {
  const counts = new Map<string, { passed: number; failed: number }>();
  for (const { name, passed } of all.flatMap(checks)) {
    const count = counts.get(name) ?? { passed: 0, failed: 0 };
    count[passed ? 'passed' : 'failed'] += 1;
    counts.set(name, count);
  }
  const sorted = [...counts].sort((a, b) => b[1].failed - a[1].failed || a[0].localeCompare(b[0]));
  for (const [name, { passed, failed }] of sorted.filter(([, count]) => count.failed > 0)) {
    console.log(`${title} ${name}: ${passed} passed, ${failed} failed`);
  }
  const clean = sorted.filter(([, count]) => count.failed === 0).map(([name, count]) => `${name} ${count.passed}`);
  if (clean.length > 0) console.log(`${title}, all passed: ${clean.join(', ')}`);
}
