// The largest comparison: every model on every GPU under three schemes and four layouts, streamed as CSV, as a user starts it. Wall time,
// because its threads are the point; memory of the whole process.
import { spawnSync } from 'node:child_process';
import { createReadStream, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchResult } from './bench-simulate.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const limits = { seconds: 60, rssMiB: 1024, rows: 100_000 };

export async function compareBenchmark(): Promise<BenchResult> {
  const file = join(tmpdir(), `vram-bench-compare-${process.pid}.csv`);
  const lists = [
    '-m',
    'all',
    '-g',
    'all',
    '-q',
    'none,fp8,awq',
    '--tp',
    '1,2,4,8',
    '--context',
    '8192',
    '--concurrency',
    '16',
  ];
  const start = performance.now();
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      '-r',
      join(root, 'scripts/lib/report-usage.cjs'),
      join(root, 'bin/vram.js'),
      'compare',
      ...lists,
      '--format',
      'csv',
      '-o',
      file,
    ],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  );
  const seconds = (performance.now() - start) / 1e3;
  if (status !== 0) throw new Error(`vram compare ended with ${status}: ${stderr}`);
  const { cpuSeconds, maxRssMiB } = JSON.parse(stderr.trim().split('\n').at(-1)!) as {
    cpuSeconds: number;
    maxRssMiB: number;
  };
  const rows = (await linesOf(file)) - 1;
  rmSync(file);
  const figure = `${rows.toLocaleString('en-US')} rows in ${seconds.toFixed(1)} s on ${availableParallelism()} cores (${cpuSeconds.toFixed(0)} s of CPU), ${Math.round(maxRssMiB)} MiB; limits ${limits.seconds} s, ${limits.rssMiB} MiB`;
  const holds = seconds <= limits.seconds && maxRssMiB <= limits.rssMiB && rows >= limits.rows;
  return { name: 'all models x all GPUs x 3 schemes x 4 layouts', figure, holds };
}

async function linesOf(file: string): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(file)) for (const byte of chunk as Buffer) if (byte === 10) lines++;
  return lines;
}
