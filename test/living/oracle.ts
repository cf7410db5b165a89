// The living oracle: llama.cpp itself, as a prebuilt library for the CPU. Installs it where it is missing (test/living-oracle has its own
// lock file, so that installing the program stays quick), writes the files, runs the library in a process of its own, reads its log.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GgufModel } from '../../src/spec/gguf.ts';
import { sourceOf, writeGguf } from '../helpers/gguf-writer.ts';
import type { Job, LivingSettings, Observation, Observed, ObservedCache } from './types.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'test/living-oracle');
const packageName = `@node-llama-cpp/${process.platform}-${process.arch}`;
const library = join(folder, 'node_modules', packageName);

export interface LivingModel {
  name: string;
  model: GgufModel;
  settings: readonly LivingSettings[];
  /** Of real size: measured, not allocated. */
  measureOnly?: boolean;
}

export interface LivingCase {
  name: string;
  model: GgufModel;
  settings: LivingSettings;
  /** What llama.cpp says, or why it refuses. */
  observed: Observed | { error: string };
}

/** The release of llama.cpp that was installed, or why there is none. */
export function installOracle(): { release: string } | { reason: string } {
  const wanted = readJson(join(folder, 'package.json')).dependencies?.[packageName];
  if (wanted === undefined) return { reason: `no library for ${process.platform}-${process.arch} is listed` };
  if (!existsSync(library) || readJson(join(library, 'package.json')).version !== wanted) {
    const flags = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
    try {
      execFileSync('npm', flags, { cwd: folder, stdio: 'pipe', timeout: 300_000, shell: process.platform === 'win32' });
    } catch (error) {
      return { reason: `${packageName}@${wanted} could not be installed: ${firstLine(error)}` };
    }
  }
  const bins = join(library, 'bins');
  if (!existsSync(bins)) return { reason: `${packageName}@${wanted} holds no library` };
  return {
    release: readJson(join(bins, readdirSync(bins)[0]!, '_nlcBuildMetadata.json')).buildOptions.llamaCpp.release,
  };
}

/** Every model under each of its settings, in order. The files are holes of the right size. */
export function livingCases(models: readonly LivingModel[]): LivingCase[] {
  const directory = mkdtempSync(join(tmpdir(), 'vram-living-'));
  try {
    const job: Job = {
      library,
      models: models.map(({ model, settings, measureOnly = false }, i) => {
        const path = join(directory, `${i}.gguf`);
        writeGguf(path, sourceOf(model));
        return { path, settings, measureOnly };
      }),
    };
    const observations = run(job);
    return models.flatMap(({ name, model, settings }, i) =>
      settings.map((each, index) => {
        const seen = observations.find((one) => one.path === job.models[i]!.path && one.index === index);
        return { name, model, settings: each, observed: seen ? observedIn(seen) : { error: 'the library went down' } };
      }),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function run(job: Job): Observation[] {
  const runner = join(root, 'test/living/runner.ts');
  const options = {
    cwd: root,
    input: JSON.stringify(job),
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    timeout: 300_000,
  } as const;
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, ['--import', 'tsx', runner], options);
  if (stdout === '' || stdout === null) throw new Error(`the oracle gave no answer (${signal ?? status}): ${stderr}`);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Observation);
}

/** The lines of llama.cpp v0.5.0; of b8390 and later, too. */
function observedIn({ error, log, contextBytes }: Observation): Observed | { error: string } {
  if (error !== undefined) return { error };
  const text = log.join('\n');
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? Number.NaN);
  const line =
    /size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers,.*?\), ([KR]) \(\w+\): +([\d.]+) MiB, [VS] \(\w+\): +([\d.]+) MiB/g;
  const caches: ObservedCache[] = [];
  const states: ObservedCache[] = [];
  for (const [, , cells, layers, kind, first, second] of text.matchAll(line)) {
    const sizes = { cells: Number(cells), layers: Number(layers), firstMiB: Number(first), secondMiB: Number(second) };
    (kind === 'K' ? caches : states).push(sizes);
  }
  return {
    nCtx: number(/n_ctx += (\d+)/),
    nCtxSeq: number(/n_ctx_seq += (\d+)/),
    caches,
    states,
    outputMiB: number(/output buffer size = +([\d.]+)/),
    computeMiB: number(/compute buffer size = +([\d.]+)/),
    nodes: number(/graph: nodes = (\d+)/),
    contextBytes,
  };
}

// biome-ignore lint/suspicious/noExplicitAny: files of packages
function readJson(path: string): any {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function firstLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: Buffer; message: string };
  const lines = (stderr?.toString() ?? '').split('\n');
  return lines.find((line) => line.startsWith('npm error')) ?? message.split('\n')[0]!;
}
