// Speed and memory of the simulator: the block loop W1a and the scheduler W1b after warm-up, whole simulations of
// traces and of synthetic requests as programs of their own. The best of several runs, each the smaller of wall and CPU time (other
// programs lengthen the one, the collector's threads the other); beside each rate stands its ratio to a loop of plain integer
// arithmetic in the same run, so that machines and their load can be told apart.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import type { W1Seconds } from './bench-w1-main.ts';

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

/** Each in a process of its own, bundled as the program is: what ran before, and a loader's wrappers, would cost half of it. */
function inProcess(): BenchResult[] {
  const bundle = join(tmpdir(), `vram-bench-w1-${process.pid}.cjs`);
  buildSync({
    entryPoints: [join(root, 'scripts/lib/bench-w1-main.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    define: { 'import.meta.url': 'importMetaUrl' },
    // The presets are looked for beside the program's own bundles.
    banner: { js: `const importMetaUrl=${JSON.stringify(pathToFileURL(join(root, 'dist/bench.cjs')).href)};` },
  });
  const time = (workload: 'blocks' | 'roomy' | 'tight'): W1Seconds => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [bundle, workload], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`W1 ended with ${status}: ${stderr}`);
    return JSON.parse(stdout) as W1Seconds;
  };
  const [blocks, roomy, tight] = [time('blocks'), time('roomy'), time('tight')];
  rmSync(bundle);
  const rate = (135_294 + 165_827) / blocks.workload;
  const ratio = ({ workload, reference }: W1Seconds): string =>
    `${(workload / reference).toFixed(1)} x the reference loop`;
  const served = ({ workload }: W1Seconds): string => `${Math.round(2000 / workload).toLocaleString('en')} requests/s`;
  return [
    {
      name: 'W1a, blocks taken and released',
      figure: `${(rate / 1e6).toFixed(2)} million/s, ${ratio(blocks)} (limit ${limits.blocksPerSecond / 1e6})`,
      holds: rate >= limits.blocksPerSecond,
    },
    {
      name: 'W1b, whole scheduler',
      figure: `${served(roomy)} in 16,385 blocks, ${served(tight)} in 8,193; ${ratio(roomy)} and ${ratio(tight)} (limit ${limits.requestsPerSecond.toLocaleString('en')})`,
      holds: 2000 / Math.max(roomy.workload, tight.workload) >= limits.requestsPerSecond,
    },
  ];
}

interface Usage {
  /** The smaller of CPU and wall time. */
  seconds: number;
  maxRssMiB: number;
}

/** A simulation as a user starts it, everything from start-up to the printed table included. */
export function program(args: readonly string[]): Usage {
  const preload = join(root, 'scripts/lib/report-usage.cjs');
  const start = performance.now();
  const { status, stderr } = spawnSync(
    process.execPath,
    ['-r', preload, join(root, 'bin/vram.js'), 'simulate', '--no-advice', ...args],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  );
  if (status !== 0) throw new Error(`vram simulate ${args.join(' ')} ended with ${status}: ${stderr}`);
  const wall = (performance.now() - start) / 1e3;
  const { cpuSeconds, maxRssMiB } = JSON.parse(stderr.trim().split('\n').at(-1) as string) as Record<string, number>;
  return { seconds: Math.min(wall, cpuSeconds as number), maxRssMiB: maxRssMiB as number };
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
    const time = Math.min(...runs.map((run) => run.seconds));
    const memory = Math.max(...runs.map(({ maxRssMiB }) => maxRssMiB));
    return {
      name,
      figure: `${time.toFixed(2)} s, ${memory.toFixed(0)} MiB (limits ${seconds} s, ${limits.traceMiB} MiB)`,
      holds: time <= seconds && memory <= limits.traceMiB,
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
  const ratio = large.seconds / (10 * small.seconds);
  return [
    {
      name: 'a million synthetic requests',
      figure: `${large.seconds.toFixed(1)} s, ${ratio.toFixed(2)} x ten times that of 100,000 (${small.seconds.toFixed(1)} s), ${large.maxRssMiB.toFixed(0)} MiB (limits ${limits.growth} x, ${limits.millionMiB} MiB)`,
      holds: ratio <= limits.growth && large.maxRssMiB <= limits.millionMiB,
    },
  ];
}
