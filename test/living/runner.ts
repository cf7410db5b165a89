// Runs in a process of its own: loads GGUF files with llama.cpp's prebuilt library and makes contexts. Reads one Job from standard
// input, writes one JSON line per context; the library's log is the evidence. Uses the native module that node-llama-cpp is built
// on, of a pinned version: the JavaScript above it would change batch and context.
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ggmlTypes } from '../../src/spec/ggml-types.ts';
import type { Job, LivingSettings, Observation } from './types.ts';

/** The part of the native module that is used (node-llama-cpp 3.22.1, dist/bindings/AddonTypes.d.ts). */
interface Addon {
  setLogger(logger: (level: number, message: string) => void): void;
  setLoggerLogLevel(level: number): void;
  loadBackends(directory?: string): void;
  getGpuType(): string | false | undefined;
  init(): Promise<void>;
  AddonModel: new (path: string, options: object) => AddonModel;
  AddonContext: new (model: AddonModel, options: object) => AddonContext;
}
interface AddonModel {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
}
interface AddonContext {
  init(): Promise<boolean>;
  getMemoryBreakdown(): { cpuRam: number };
  dispose(): Promise<void>;
}

const logLevelInfo = 5;

async function main(): Promise<void> {
  const job = JSON.parse(readFileSync(0, 'utf8')) as Job;
  const addon = load(job.library);
  let log: string[] = [];
  addon.setLogger((_, message) => log.push(message));
  addon.setLoggerLogLevel(logLevelInfo);
  addon.loadBackends();
  if (addon.getGpuType() === undefined) addon.loadBackends(binsOf(job.library));
  await addon.init();
  const taken = async (): Promise<string[]> => {
    // The log arrives through the event loop.
    await new Promise((done) => setTimeout(done, 5));
    const lines = log.join('').split('\n');
    log = [];
    return lines.filter((line) => line.trim() !== '');
  };
  for (const { path, settings, measureOnly: noAlloc } of job.models) {
    const model = new addon.AddonModel(path, { gpuLayers: 0, useMmap: true, noAlloc, addonExports: addon });
    const loaded = await model.init();
    const lines = await taken();
    for (const [index, each] of settings.entries()) {
      const seen = loaded ? await context(addon, model, each, taken) : { error: errorIn(lines) };
      const observation: Observation = { path, index, log: [], contextBytes: 0, ...seen };
      process.stdout.write(`${JSON.stringify(observation)}\n`);
    }
    if (loaded) await model.dispose();
  }
}

async function context(
  addon: Addon,
  model: AddonModel,
  { ctxSize, batch, parallel, flashAttn, cacheType = 'f16', swaFull }: LivingSettings,
  taken: () => Promise<string[]>,
): Promise<Partial<Observation>> {
  const made = new addon.AddonContext(model, {
    contextSize: ctxSize,
    batchSize: batch,
    sequences: parallel,
    flashAttention: flashAttn === 'auto' ? 'auto' : flashAttn === 'on',
    kvCacheKeyType: ggmlTypes[cacheType].id,
    kvCacheValueType: ggmlTypes[cacheType].id,
    ...(swaFull ? { swaFullCache: true } : {}),
  });
  const ready = await made.init().catch(() => false);
  const log = await taken();
  if (!ready) return { error: errorIn(log), log };
  const contextBytes = made.getMemoryBreakdown().cpuRam;
  await made.dispose();
  return { log, contextBytes };
}

function errorIn(lines: readonly string[]): string {
  return lines.filter((line) => /error|fail|unsupported|requires/i.test(line)).join(' | ') || 'no reason is given';
}

function binsOf(library: string): string {
  const bins = join(library, 'bins');
  return join(bins, readdirSync(bins)[0]!);
}

function load(library: string): Addon {
  return createRequire(import.meta.url)(join(binsOf(library), 'llama-addon.node')) as Addon;
}

await main();
