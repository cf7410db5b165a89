// `npm run readme`: the README's blocks of output, printed anew by the program itself. The accuracy table of plans is written by
// `npm run accuracy -- --write`, which needs longer.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kvcachedTable } from './lib/kvcached-table.ts';
import { type MeasuredRun, simulateMeasured } from './lib/measured.ts';
import { replaceBlock } from './lib/readme-block.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = join(root, 'README.md');

/** What is shown, and the command as a reader would type it. */
const shown: Readonly<Record<string, string>> = {
  output: 'vram plan --model llama-7b --gpu rtx4090',
  llama: 'vram plan --engine llama.cpp -m qwen3-30b-a3b -q q4_k_m -c 32768 -ngl 99 --n-cpu-moe 20 -g rtx4080',
  compare:
    'vram compare -m llama-3.1-8b,qwen3-14b -g rtx4090,l40s,h100-sxm -q none,fp8-dynamic,w4a16 --max-model-len 8k --context 8000 --concurrency 16',
  quantize:
    "vram quantize -m qwen3-8b -g rtx4060ti-16gb --context 8192 --concurrency 4 --scheme 'fp8-dynamic,awq,w4a16,bf16,q4_k_m,q5_k_m,q6_k,q8_0' --max-quality-loss 2%",
  simulate:
    'vram simulate --model llama-3.1-8b --gpu rtx4090 --max-model-len 16k --workload chat --rate 3/s --limit 1000',
  'figure-2': 'examples/paged-attention-figure-2.sh',
  sharing: 'examples/sharing-savings.sh',
  pool: 'vram simulate --pool examples/shared-gpu.yaml',
};

const measured = [
  { folder: 'RTX4090_Llama-3.1-8B', coefficients: 'fitted' },
  { folder: 'RTXPRO6000_Llama-3.1-8B', gpu: 'rtx-pro-6000-server', coefficients: 'data sheet' },
  { folder: 'RTXPRO6000_Qwen3-30B-A3B-Instruct-2507', gpu: 'rtx-pro-6000-server', coefficients: 'data sheet' },
  { folder: 'RTXPRO6000_Qwen3-32B', gpu: 'rtx-pro-6000-server', coefficients: 'data sheet' },
];

let text = readFileSync(readme, 'utf8');
const only = process.argv.slice(2);
for (const [name, command] of Object.entries(shown))
  if (only.length === 0 || only.includes(name))
    text = replaceBlock(text, name, ['```console', `$ ${command}`, ...run(command), '```']);
if (only.length === 0 || only.includes('measured')) text = replaceBlock(text, 'measured', await measuredTable());
if (only.length === 0 || only.includes('kvcached')) text = replaceBlock(text, 'kvcached', await kvcachedTable());
writeFileSync(readme, text);

/** Runs a command line with `vram` on the path, 80 columns wide and without colour. */
function run(command: string): string[] {
  const bin = mkdtempSync(join(tmpdir(), 'vram-readme-'));
  const launcher = join(bin, 'vram');
  writeFileSync(launcher, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'bin/vram.js')}' "$@"\n`);
  chmodSync(launcher, 0o755);
  try {
    const stdout = execFileSync('sh', ['-c', command.startsWith('examples/') ? `sh ${command}` : command], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1', PATH: `${bin}${delimiter}${process.env.PATH}` },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd());
  } finally {
    rmSync(bin, { recursive: true });
  }
}

async function measuredTable(): Promise<string[]> {
  const rows: string[] = [];
  for (const { folder, gpu, coefficients } of measured) {
    const result = await simulateMeasured(
      join(root, 'test/fixtures/measured', folder),
      gpu === undefined ? {} : { gpu },
    );
    rows.push(rowOf(result, coefficients));
  }
  return [
    '| run | coefficients | TTFT | TPOT | latency | makespan | KV use | running / waiting |',
    '|---|---|--:|--:|--:|--:|--:|--:|',
    ...rows,
  ];
}

function rowOf({ name, gpu, comparison }: MeasuredRun, coefficients: string): string {
  const of = (figure: string): string => {
    const row = comparison.find((one) => one.figure === figure);
    if (!row || row.error === null) return 'not recorded';
    if (row.unit === 'points') return `${row.error.toFixed(1)} points`;
    const sign = row.unit === 'share' || row.error < 0 ? '' : '+';
    return `${sign}${(row.error * 100).toFixed(1)} %`;
  };
  const model = name.slice(name.indexOf('_') + 1);
  const queues = `${of('running')} / ${of('waiting')}`;
  return `| ${model} on ${gpu} | ${coefficients} | ${of('TTFT mean')} | ${of('TPOT mean')} | ${of('latency mean')} | ${of('makespan')} | ${of('KV cache use')} | ${queues} |`;
}
