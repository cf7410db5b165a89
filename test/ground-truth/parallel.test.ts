// Several GPUs against the engine: every published start-up with tensor, pipeline or expert parallelism, and every case of vLLM's
// own classes on more than one rank, held to the bounds that a plan on one GPU is held to. Which cases those are is read off their
// command lines and layouts; their number is stated, so that none can drop out.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type StartupCase, type StartupScore, scoreStartups } from '../../scripts/lib/startups.ts';
import { judgeLine } from '../../scripts/oracle/judge.ts';
import type { OracleLine } from '../../scripts/oracle/line.ts';
import { runPlan } from '../helpers/run.ts';
import { holdStartupBounds } from './startup-bounds.ts';

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

const parallelFlags = /^--(?:tp|pp|tensor-parallel-size|pipeline-parallel-size|enable-expert-parallel)$/;
const startups = (JSON.parse(read('./vllm-startups.json')) as { cases: StartupCase[] }).cases.filter(({ args }) =>
  args.some((argument, i) => parallelFlags.test(argument) && args[i + 1] !== '1'),
);

const linesOf = (name: string): OracleLine[] =>
  read(name)
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as OracleLine);
const lines = linesOf('./vllm-oracle.jsonl').filter(({ tp, pp, dp = 1, ep }) => tp > 1 || pp > 1 || dp > 1 || ep);
/** Layouts that file lacks: uneven stages, three and four of them, decode context, more replicas, ranks but the first. */
const others = linesOf('./vllm-parallel.jsonl');
const failuresOf = (all: readonly OracleLine[]): string[] =>
  all.flatMap((line) =>
    judgeLine(line, { weights: true, kv: true }).failures.map((failure) => `${line.id}: ${failure}`),
  );

describe('published start-ups on several GPUs', () => {
  let score: StartupScore;

  it('are 27, all planned, with the verdict that the engine came to', async () => {
    expect(startups).toHaveLength(27);
    score = await scoreStartups(startups, async (args) => {
      const { exitCode, output, errors } = await runPlan(args.slice(1));
      return { exitCode, plan: output?.result, message: errors };
    });
    expect(score.refused).toEqual([]);
    expect(score.wrongVerdicts).toEqual([]);
  }, 60_000);

  holdStartupBounds(() => score.judgements);
});

describe("vLLM's own classes on several ranks", () => {
  it('are 734 cases: 687 with tensor, 57 with pipeline, 80 with expert, 10 with data parallelism', () => {
    const count = (which: (line: OracleLine) => boolean): number => lines.filter(which).length;
    expect([lines.length, count(({ tp }) => tp > 1), count(({ pp }) => pp > 1)]).toEqual([734, 687, 57]);
    expect([count(({ ep }) => ep), count(({ dp = 1 }) => dp > 1)]).toEqual([80, 10]);
  });

  it('agree in every figure: bytes of weights, blocks, tokens, sequences, refusals', () => {
    expect(failuresOf(lines)).toEqual([]);
  }, 120_000);

  it('agree on uneven stages, decode context, replicas and every rank: 320 more of nine releases', () => {
    expect(others).toHaveLength(320);
    expect(new Set(others.map(({ engine }) => engine)).size).toBe(9);
    expect(others.filter(({ env }) => env?.VLLM_PP_LAYER_PARTITION !== undefined)).toHaveLength(61);
    expect(others.filter(({ flags }) => flags?.decode_context_parallel_size !== undefined)).toHaveLength(69);
    expect(failuresOf(others)).toEqual([]);
  }, 60_000);
});
