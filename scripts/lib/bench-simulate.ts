// Speed and memory of the simulator: the block loop W1a and the scheduler W1b in this process after warm-up, whole simulations of
// traces and of synthetic requests as programs of their own. CPU time, the best of several runs; beside each rate stands its ratio to
// a loop of plain integer arithmetic in the same run, so that machines and their load can be told apart.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { w1a, w1b, w1Requests } from './bench-w1.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface BenchResult {
  name: string;
  figure: string;
  holds: boolean;
}

const limits = {
  blocksPerSecond: 5e6,
  requestsPerSecond: 40_000,
  azureSeconds: 2,
  mooncakeSeconds: 3,
  traceMiB: 400,
  millionMiB: 1536,
  /** Cost of ten times the requests over ten times the cost. */
  growth: 1.3,
};

export function simulatorBenchmarks(traces: string | undefined): BenchResult[] {
  return [...inProcess(), ...wholeTraces(traces), ...growth()];
}

function inProcess(): BenchResult[] {
  const requests = w1Requests();
  const reference = best(7, referenceLoop);
  const blocks = best(15, () => w1a(requests, true));
  const rate = (135_294 + 165_827) / blocks;
  const roomy = best(12, () => w1b({ requests }, 16_385));
  const tight = best(12, () => w1b({ requests }, 8_193));
  const ratio = (seconds: number): string => `${(seconds / reference).toFixed(1)} x the reference loop`;
  const served = (seconds: number): string => `${Math.round(2000 / seconds).toLocaleString('en')} requests/s`;
  return [
    {
      name: 'W1a, blocks taken and released',
      figure: `${(rate / 1e6).toFixed(2)} million/s, ${ratio(blocks)} (limit ${limits.blocksPerSecond / 1e6})`,
      holds: rate >= limits.blocksPerSecond,
    },
    {
      name: 'W1b, whole scheduler',
      figure: `${served(roomy)} in 16,385 blocks, ${served(tight)} in 8,193; ${ratio(roomy)} and ${ratio(tight)} (limit ${limits.requestsPerSecond.toLocaleString('en')})`,
      holds: 2000 / Math.max(roomy, tight) >= limits.requestsPerSecond,
    },
  ];
}

/** Ten million rounds of the generator that W1 draws from. */
function referenceLoop(): number {
  let state = 12345;
  for (let i = 0; i < 10_000_000; i++) state = (Math.imul(1664525, state) + 1013904223) >>> 0;
  return state;
}

function best(runs: number, work: () => unknown): number {
  let seconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    seconds = Math.min(seconds, (user + system) / 1e6);
  }
  return seconds;
}

interface Usage {
  cpuSeconds: number;
  maxRssMiB: number;
}

/** A simulation as a user starts it, everything from start-up to the printed table included. */
function program(args: readonly string[]): Usage {
  const preload = join(root, 'scripts/lib/report-usage.cjs');
  const { status, stderr } = spawnSync(
    process.execPath,
    ['-r', preload, join(root, 'bin/vram.js'), 'simulate', '--no-advice', ...args],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  );
  if (status !== 0) throw new Error(`vram simulate ${args.join(' ')} ended with ${status}: ${stderr}`);
  return JSON.parse(stderr.trim().split('\n').at(-1) as string) as Usage;
}

function wholeTraces(traces: string | undefined): BenchResult[] {
  const cases = [
    {
      name: 'Azure conversation trace on an 8B model',
      file: 'azure-2023-conv.csv',
      args: ['-m', 'llama-3.1-8b', '-g', 'a100-80gb'],
      seconds: limits.azureSeconds,
    },
    {
      name: 'Mooncake conversation trace on an 8B model',
      file: 'mooncake-conversation.jsonl',
      args: ['-m', 'llama-3.1-8b', '-g', 'h100-sxm'],
      seconds: limits.mooncakeSeconds,
    },
  ];
  return cases.map(({ name, file, args, seconds }) => {
    const path = traces === undefined ? undefined : join(traces, file);
    if (path === undefined || !existsSync(path))
      return { name, figure: `not measured: npm run bench -- --traces DIR with ${file}`, holds: true };
    const runs = [0, 1, 2].map(() => program([...args, '--workload', path]));
    const cpu = Math.min(...runs.map(({ cpuSeconds }) => cpuSeconds));
    const memory = Math.max(...runs.map(({ maxRssMiB }) => maxRssMiB));
    return {
      name,
      figure: `${cpu.toFixed(2)} s of CPU, ${memory.toFixed(0)} MiB (limits ${seconds} s, ${limits.traceMiB} MiB)`,
      holds: cpu <= seconds && memory <= limits.traceMiB,
    };
  });
}

/** Cost and memory at 100,000 and a million synthetic requests. */
function growth(): BenchResult[] {
  const run = (requests: number): Usage =>
    program([
      ...['-m', 'llama-3.1-8b', '-g', 'h100-sxm', '--num-gpu-blocks', '30000'],
      ...['--workload', `alpaca:rate=400,requests=${requests}`],
    ]);
  const small = run(100_000);
  const large = run(1_000_000);
  const ratio = large.cpuSeconds / (10 * small.cpuSeconds);
  return [
    {
      name: 'a million synthetic requests',
      figure: `${large.cpuSeconds.toFixed(1)} s of CPU, ${ratio.toFixed(2)} x ten times that of 100,000 (${small.cpuSeconds.toFixed(1)} s), ${large.maxRssMiB.toFixed(0)} MiB (limits ${limits.growth} x, ${limits.millionMiB} MiB)`,
      holds: ratio <= limits.growth && large.maxRssMiB <= limits.millionMiB,
    },
  ];
}
