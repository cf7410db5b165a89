// Several models on one GPU: eight engines over the whole ten minutes of the Prism trace at its own pace, and over an hour made of it
// repeated, under every policy, as a user starts it. Beside the slowest stands its ratio to the same eight models simulated one by one.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolvePool } from '../../src/load/pool.ts';
import { loadPresets } from '../../src/load/presets.ts';
import { type BenchResult, program } from './bench-simulate.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const limitSeconds = 10;

export async function poolBenchmarks(): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const [what, changed] of [
    ['ten minutes', ''],
    ['an hour', ', repeat: 6'],
  ] as const) {
    const file = join(tmpdir(), `vram-bench-pool-${process.pid}.yaml`);
    const text = readFileSync(join(root, 'examples/prism-8.yaml'), 'utf8');
    writeFileSync(file, text.replaceAll(', rate: 8x }', `${changed} }`));
    try {
      results.push(await measured(what, file));
    } finally {
      rmSync(file);
    }
  }
  return results;
}

async function measured(what: string, file: string): Promise<BenchResult> {
  const policies = loadPresets('sharing').map(({ id }) => id);
  const times = policies.map((policy) => ({
    policy,
    seconds: program(['--pool', file, '--policy', policy, '--format', 'csv']).seconds,
  }));
  const alone = await oneByOne(file);
  const slowest = times.reduce((most, one) => (one.seconds > most.seconds ? one : most));
  const each = times.map(({ policy, seconds }) => `${policy} ${seconds.toFixed(1)} s`).join(', ');
  return {
    name: `eight models on one GPU, ${what} of the Prism trace`,
    figure: `${each}; the slowest ${(slowest.seconds / alone).toFixed(1)} x the same models one by one (limit ${limitSeconds} s each)`,
    holds: slowest.seconds <= limitSeconds,
  };
}

async function oneByOne(file: string): Promise<number> {
  const { gpu, models } = await resolvePool(file, { env: process.env });
  let seconds = 0;
  for (const { model, options, workload } of models) {
    const { ref, workloadModel, repeat } = workload!;
    const words = Object.entries(options).flatMap(([key, value]) =>
      value === true ? [`--${key}`] : [`--${key}`, String(value)],
    );
    const more = repeat === undefined ? [] : ['--repeat', String(repeat)];
    seconds += program([
      '-m',
      model,
      '-g',
      gpu,
      '-w',
      ref,
      '--workload-model',
      workloadModel!,
      ...words,
      ...more,
    ]).seconds;
  }
  return seconds;
}
