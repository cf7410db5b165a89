// Our plan of llama.cpp against llama.cpp: its own library loads small files of many architectures for real, and the presets in
// their real sizes without allocating, under several contexts; caches, states and output must agree as printed, compute buffers to the
// byte wherever the plan calls itself exact. Where the library cannot run this says so, and fails under CI=true.
import { describe, expect, it } from 'vitest';
import { buildNumber } from '../../src/engines/llamacpp/builds.ts';
import { cacheTotals, type SizedCache } from '../../src/engines/llamacpp/kv.ts';
import { type LlamaLoad, loadModel } from '../../src/engines/llamacpp/load.ts';
import { readHparams } from '../../src/engines/llamacpp/read-hparams.ts';
import { ggufOfPreset } from '../../src/load/gguf-preset.ts';
import { loadLlamaRules } from '../../src/load/presets.ts';
import { MiB, sum } from '../../src/units.ts';
import { smallModels } from '../helpers/gguf-models.ts';
import { installOracle, type LivingCase, type LivingModel, livingCases } from './oracle.ts';
import type { LivingSettings, Observed, ObservedCache } from './types.ts';

const smallSettings: readonly LivingSettings[] = [
  { ctxSize: 4096, batch: 512, parallel: 1, flashAttn: 'on' },
  { ctxSize: 4096, batch: 256, parallel: 4, flashAttn: 'off' },
  { ctxSize: 5000, batch: 512, parallel: 3, flashAttn: 'auto' },
  { ctxSize: 2048, batch: 64, parallel: 1, flashAttn: 'off', swaFull: true },
  { ctxSize: 4096, batch: 512, parallel: 2, flashAttn: 'on', cacheType: 'q8_0' },
];
const realSettings: readonly LivingSettings[] = [
  { ctxSize: 8192, batch: 512, parallel: 1, flashAttn: 'on' },
  { ctxSize: 16_384, batch: 256, parallel: 4, flashAttn: 'off' },
];
const realModels = [
  ['llama-3.2-1b', 'q4_k_m'],
  ['llama-3.1-8b', 'q8_0'],
  ['mixtral-8x7b', 'q4_k_m'],
  ['qwen2.5-7b', 'q4_k_m'],
  ['qwen3-0.6b', 'q8_0'],
  ['qwen3-30b-a3b', 'q4_k_m'],
  ['qwen3-next-80b-a3b', 'q4_k_m'],
  ['qwen3.5-0.8b', 'q8_0'],
  ['gemma-2-2b', 'q4_k_m'],
  ['gemma-3-4b', 'q4_0'],
  ['gemma-4-e2b', 'q4_0'],
  ['phi-2', 'q8_0'],
  ['phi-4', 'q4_k_m'],
  ['deepseek-v2-lite', 'q4_k_m'],
  ['gpt-oss-20b', 'mxfp4'],
  ['mamba-130m', 'f16'],
  ['falcon-h1-0.5b', 'q8_0'],
  ['granite-4.0-h-small', 'q4_k_m'],
  ['nemotron-nano-9b-v2', 'q4_k_m'],
  ['lfm2-1.2b', 'q4_k_m'],
  ['command-r7b', 'q4_k_m'],
  ['starcoder2-3b', 'q8_0'],
  ['olmo-2-7b', 'q4_k_m'],
  ['glm-4.5-air', 'q4_k_m'],
  ['smollm3-3b', 'q8_0'],
] as const;

/** Whose graphs are replayed; a plan of the others may still call its compute buffer an estimate. */
const exactArchitectures = new Set([
  ...['llama', 'qwen2', 'qwen3', 'qwen3moe', 'gemma2', 'gemma3', 'gemma4'],
  ...['phi2', 'phi3', 'cohere2', 'starcoder2', 'olmo2'],
]);

const oracle = installOracle();

if ('reason' in oracle) {
  const message = `llama.cpp was not asked: ${oracle.reason}`;
  if (process.env.CI === 'true') it('runs', () => expect.fail(message));
  else {
    console.warn(message);
    it.skip(message, () => undefined);
  }
} else compare(oracle.release);

function compare(release: string): void {
  const build = buildNumber(release);
  const rules = loadLlamaRules(build ?? 0);
  const small = Object.entries(smallModels).map(([name, model]): LivingModel => {
    return { name, model, settings: smallSettings };
  });
  const real = realModels.map(([id, mix]): LivingModel => {
    return { name: `${id} ${mix}`, model: ggufOfPreset(id, mix).model, settings: realSettings, measureOnly: true };
  });
  const cases = livingCases([...small, ...real]);

  it('is a build whose rules were read', () => expect(build).toBeDefined());

  describe.each(byName(cases))(`llama.cpp ${release}, %s`, (_name, ofModel) => {
    it.each(ofModel.map((one) => [shown(one.settings), one] as const))('%s', (_settings, one) => {
      const { observed } = one;
      if ('error' in observed) expect.fail(`llama.cpp refuses: ${observed.error}`);
      const load = predicted(one, rules);
      agree(observed, load);
      if (exactArchitectures.has(one.model.architecture)) expect(load.compute.confidence).toBe('exact');
    });
  });
}

/** Our figures for the same load; nothing of it on a GPU. The native module reserves logits for a whole batch. */
function predicted({ model, settings }: LivingCase, rules: ReturnType<typeof loadLlamaRules>): LlamaLoad {
  const { ctxSize, batch, parallel, flashAttn, cacheType, swaFull } = settings;
  const input = { model, hparams: readHparams(model), rules, freeBytes: [] };
  return loadModel(input, {
    ctxSize,
    batch,
    ubatch: batch,
    parallel,
    flashAttn,
    kvUnified: false,
    fit: false,
    program: 'llama-cli',
    ...(cacheType === undefined ? {} : { cacheTypeK: cacheType, cacheTypeV: cacheType }),
    ...(swaFull === undefined ? {} : { swaFull }),
  });
}

function agree(observed: Observed, load: LlamaLoad): void {
  expect(load.refusal).toBeUndefined();
  expect({ nCtx: load.context.nCtx, nCtxSeq: load.context.nCtxSeq }).toEqual({
    nCtx: observed.nCtx,
    nCtxSeq: observed.nCtxSeq,
  });
  const states = load.caches.filter(({ kind }) => kind === 'recurrent');
  const caches = load.caches.filter(({ kind }) => kind !== 'recurrent');
  expect(layersOf(caches)).toEqual(observed.caches.map(({ layers }) => layers));
  agreeOnCaches(observed.caches, caches);
  // Of a recurrent cache all layers are printed, those without a state too.
  agreeOnCaches(observed.states, states);
  const { bytes, compute } = load;
  expectPrinted(observed.outputMiB, all(bytes.output));
  if (compute.confidence !== 'exact') return;
  expect(observed.contextBytes - all(bytes.kv) - all(bytes.rs)).toBe(all(bytes.compute));
  expect(observed.nodes).toBe(compute.nodes);
}

function agreeOnCaches(observed: readonly ObservedCache[], planned: readonly SizedCache[]): void {
  const filled = planned.filter(({ layers }) => layers.length > 0);
  expect(filled.map(({ cells }) => cells)).toEqual(observed.map(({ cells }) => cells));
  for (const [i, cache] of filled.entries()) {
    const { keyBytes, valueBytes } = cacheTotals(cache);
    expectPrinted(observed[i]!.firstMiB, keyBytes);
    expectPrinted(observed[i]!.secondMiB, valueBytes);
  }
}

function layersOf(caches: readonly SizedCache[]): number[] {
  return caches.filter(({ layers }) => layers.length > 0).map(({ layers }) => layers.length);
}

/** Two decimals; a tie may go either way. */
function expectPrinted(printedMiB: number, bytes: number): void {
  expect(Math.abs(bytes / MiB - printedMiB)).toBeLessThanOrEqual(0.005 + 1e-9);
}

function all(places: Readonly<Record<string, number>>): number {
  return sum(Object.values(places));
}

function byName(cases: readonly LivingCase[]): [string, LivingCase[]][] {
  const groups = new Map<string, LivingCase[]>();
  for (const one of cases) groups.set(one.name, [...(groups.get(one.name) ?? []), one]);
  return [...groups];
}

function shown({ ctxSize, batch, parallel, flashAttn, cacheType, swaFull }: LivingSettings): string {
  const extras = `${cacheType ? ` -ctk ${cacheType} -ctv ${cacheType}` : ''}${swaFull ? ' --swa-full' : ''}`;
  return `-c ${ctxSize} -b ${batch} -np ${parallel} -fa ${flashAttn}${extras}`;
}
