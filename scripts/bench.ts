// `npm run bench`: cold start of a plan against an empty Node program (alternating runs, medians), plans per second over all models and
// GPUs in one process, the largest comparison (lib/bench-compare.ts; alone with --compare), models that share a GPU (lib/bench-pool.ts;
// alone with --pool), the sizes of the bundles, and the simulator (lib/bench-simulate.ts). A limit missed fails.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { planVllm } from '../src/engines/vllm/plan.ts';
import { resolveEngineRef } from '../src/load/engine.ts';
import { vllmRegistry } from '../src/load/flags.ts';
import { loadPresets } from '../src/load/presets.ts';
import { defaultParallel } from '../src/spec/options.ts';
import { schemeOfCheckpoint } from '../src/spec/quantization.ts';
import { compareBenchmark } from './lib/bench-compare.ts';
import { poolBenchmarks } from './lib/bench-pool.ts';
import { simulatorBenchmarks } from './lib/bench-simulate.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const limits = { coldStartRatio: 1.6, plansPerSecond: 5000, planBundleKiB: 480 };

const tracesAt = process.argv.indexOf('--traces');
const traces = tracesAt < 0 ? undefined : process.argv[tracesAt + 1];
// The simulator first: all plans together leave a heap behind that its loops would pay for.
const only = process.argv.includes('--compare');
const results = only
  ? [await compareBenchmark()]
  : process.argv.includes('--pool')
    ? await poolBenchmarks()
    : [
        ...simulatorBenchmarks(traces),
        ...(await poolBenchmarks()),
        coldStart(30),
        await compareBenchmark(),
        throughput(),
        bundles(),
      ];
for (const { name, figure, holds } of results) console.log(`${holds ? 'ok  ' : 'MISS'} ${name}: ${figure}`);
process.exitCode = results.every(({ holds }) => holds) ? 0 : 1;

interface Result {
  name: string;
  figure: string;
  holds: boolean;
}

/** Wall time of the whole process, A B A B ..., so that a drifting machine hits both alike. */
function coldStart(runs: number): Result {
  const empty = join(tmpdir(), `vram-bench-empty-${process.pid}.cjs`);
  writeFileSync(empty, '');
  const plan = [join(root, 'bin/vram.js'), 'plan', '--model', 'llama-7b', '--gpu', 'rtx4090'];
  const times = { plan: [] as number[], empty: [] as number[] };
  for (let i = -2; i < runs; i++) {
    const pair = { plan: wall(plan), empty: wall([empty]) };
    if (i >= 0) for (const key of ['plan', 'empty'] as const) times[key].push(pair[key]);
  }
  const ratio = median(times.plan) / median(times.empty);
  const figure = `${ratio.toFixed(2)} x an empty Node program (${(median(times.plan) * 1e3).toFixed(0)} ms against ${(median(times.empty) * 1e3).toFixed(0)} ms, ${runs} runs each; limit ${limits.coldStartRatio})`;
  return { name: 'cold start of plan from a preset', figure, holds: ratio <= limits.coldStartRatio };
}

function wall(args: readonly string[]): number {
  const start = process.hrtime.bigint();
  const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
  return Number(process.hrtime.bigint() - start) / 1e9;
}

/** Every model on every GPU, one release, one process. */
function throughput(): Result {
  const engine = resolveEngineRef('vllm');
  const registry = vllmRegistry();
  const models = loadPresets('models');
  const gpus = loadPresets('gpus');
  const start = process.hrtime.bigint();
  let plans = 0;
  for (const spec of models) {
    const scheme = spec.quantization ? schemeOfCheckpoint(spec.quantization) : undefined;
    for (const gpu of gpus) {
      planVllm(
        {
          spec,
          ...(scheme ? { scheme } : {}),
          gpus: [gpu],
          version: engine.version,
          release: engine.release,
          profile: engine.profile,
          options: { ...defaultParallel },
        },
        registry,
      );
      plans++;
    }
  }
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const rate = plans / seconds;
  return {
    name: 'plans per second in one process',
    figure: `${Math.round(rate)} (${plans} plans: ${models.length} models x ${gpus.length} GPUs; limit ${limits.plansPerSecond})`,
    holds: rate >= limits.plansPerSecond,
  };
}

function bundles(): Result {
  const files = readdirSync(join(root, 'dist')).filter((name) => name.endsWith('.cjs'));
  const sizes = files.map((name) => [name, Math.ceil(statSync(join(root, 'dist', name)).size / 1024)] as const);
  const plan = sizes.find(([name]) => name === 'plan.cjs')![1];
  return {
    name: 'bundles (KiB)',
    figure: `${sizes.map(([name, size]) => `${name} ${size}`).join(', ')}; limit for plan.cjs ${limits.planBundleKiB}`,
    holds: plan <= limits.planBundleKiB,
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
