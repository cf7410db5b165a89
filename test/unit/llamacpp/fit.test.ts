// -fit against decisions of released builds (b8390 to v0.5.0), from what every load measured by them took: the solver has to ask for
// the same loads and to come to the same context, layers and overrides.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildNumber } from '../../../src/engines/llamacpp/builds.ts';
import { FitError, type FitInput, fits, type Override, solveFit } from '../../../src/engines/llamacpp/fit.ts';
import type { LlamaHparams } from '../../../src/engines/llamacpp/hparams.ts';
import { type LlamaRuleBook, type LlamaRules, resolveLlamaRules } from '../../../src/engines/llamacpp/rules.ts';
import type { LlamaOptions } from '../../../src/engines/llamacpp/types.ts';
import { MiB } from '../../../src/units.ts';

const root = new URL('../../../', import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const book: LlamaRuleBook = Object.assign(
  {},
  ...['fit', 'context'].map((topic) => parse(text(`presets/engines/llamacpp/${topic}.yaml`)).rules),
);
const rulesOf = (build: string): LlamaRules => resolveLlamaRules(book, buildNumber(build)!);

interface FitCase {
  id: string;
  build: string;
  /** MiB per GPU. */
  free: number;
  gpus: number;
  flags: string;
  model: { layers: number; nextn: number; train: number; experts: number };
  fit: { status: string; nCtx: number; ngl: number | null; ts?: string; ot: string };
  /** Load -> model, context, compute, recurrent state in bytes per GPU, or why it failed. */
  loads: Record<string, number[][] | string>;
}
const [, ...cases] = text('test/fixtures/llamacpp-fit.jsonl')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as FitCase);

function hparams({ layers, nextn, train, experts }: FitCase['model']): LlamaHparams {
  const moe = experts > 0 ? { experts: { count: experts } } : {};
  return { layers, nextnLayers: nextn, contextLength: train, ...moe } as unknown as LlamaHparams;
}

function options(flags: string): LlamaOptions {
  const value = (flag: string): string | undefined => new RegExp(`${flag} (\\S+)`).exec(flags)?.[1];
  const [ngl, ts] = [value('-ngl'), value('-ts')];
  return {
    ctxSize: Number(value('-c')),
    parallel: Number(value('-np')),
    kvUnified: flags.includes('-kvu'),
    fitTargetMiB: [Number(value('-fitt'))],
    fitCtx: Number(value('-fitc')),
    ...(ngl ? { gpuLayers: Number(ngl) } : {}),
    ...(ts ? { tensorSplit: ts.split(',').map(Number) } : {}),
  };
}

/** from-to for blocks whose experts all stay with the CPU, other patterns as they are. */
function shortly(overrides: readonly Override[] = []): string {
  const parts: string[] = [];
  let run: [number, number] | undefined;
  for (const { pattern, place } of overrides) {
    const block = /^blk\\\.(\d+)\\\..*_\(ch\|\)exps$/.exec(pattern)?.[1];
    if (block !== undefined && place === 'CPU') {
      if (run && run[1] + 1 === Number(block)) run[1] += 1;
      else {
        if (run) parts.push(run.join('-'));
        run = [Number(block), Number(block)];
      }
    } else {
      if (run) parts.push(run.join('-'));
      run = undefined;
      parts.push(`${pattern}=${place}`);
    }
  }
  if (run) parts.push(run.join('-'));
  return parts.join(' ');
}

function input(fitCase: FitCase): FitInput {
  const free = Array.from({ length: fitCase.gpus }, () => fitCase.free * MiB);
  return {
    options: options(fitCase.flags),
    hparams: hparams(fitCase.model),
    freeBytes: free,
    totalBytes: free,
    rules: rulesOf(fitCase.build),
    measure: ({ ctxSize, gpuLayers, tensorSplit, overrideTensor }) => {
      const split = tensorSplit?.some((share) => share > 0) ? tensorSplit.join(',') : '-';
      const load = `${ctxSize} ${gpuLayers ?? '-'} ${split} ${shortly(overrideTensor)}`.trim();
      const measured = fitCase.loads[load];
      if (!measured) throw new Error(`the build did not measure ${load}`);
      if (typeof measured === 'string') throw new FitError(measured);
      const devices = measured.map(([modelBytes = 0, contextBytes = 0, computeBytes = 0, recurrentBytes = 0]) => {
        return { modelBytes, contextBytes, computeBytes, recurrentBytes };
      });
      return { nCtx: ctxSize ?? 0, devices, host: { modelBytes: 0, contextBytes: 0, computeBytes: 0 } };
    },
  };
}

describe('-fit decides as released builds do', () => {
  it.each(cases.map((fitCase) => [fitCase.id, fitCase] as const))('%s', (_, fitCase) => {
    const result = solveFit(input(fitCase));
    const { status, nCtx, ngl, ts, ot } = fitCase.fit;
    expect([result.status, result.nCtx, result.gpuLayers]).toEqual([status, nCtx, ngl]);
    if (ts) expect((result.tensorSplit ?? Array(fitCase.gpus).fill(0)).join(',')).toBe(ts);
    const sorted = (patterns: string): string[] => patterns.split(' ').sort();
    expect(sorted(shortly(result.overrides))).toEqual(sorted(ot));
  });
});

const find = (id: string): FitCase => cases.find((fitCase) => fitCase.id === id)!;

describe('which options -fit leaves alone', () => {
  const dense = input(find('v0.5.0-llama-3.1-8b-1x8192-c0'));

  it('builds before December 2025 have no -fit', () => {
    expect(fits({}, rulesOf('b6673'))).toBe(false);
    expect(fits({ fit: true }, rulesOf('b6673'))).toBe(false);
    expect(fits({}, rulesOf('b8390'))).toBe(true);
    expect(fits({ fit: false }, rulesOf('b8390'))).toBe(false);
  });

  it('an explicit -c 0 keeps the whole training length, and fit goes on to layers', () => {
    const { fitCtx: _, ...open } = dense.options;
    const asked: number[] = [];
    const measure: FitInput['measure'] = (loaded) => {
      asked.push(loaded.ctxSize ?? 0);
      const layers = loaded.gpuLayers === undefined ? 33 : Number(loaded.gpuLayers);
      const device = {
        modelBytes: layers * 140_000_000,
        contextBytes: layers * 520_000_000,
        computeBytes: 260_049_152,
      };
      return { nCtx: 0, devices: [device], host: device };
    };
    const result = solveFit({ ...dense, options: { ...open, ctxSize: 0 }, measure });
    expect(result.status).toBe('success');
    expect(result.nCtx).toBe(131_072 * 4);
    expect(new Set(asked.slice(1))).toEqual(new Set([131_072 * 4]));
    expect(result.gpuLayers).toBe(Math.floor((8192 * MiB - 1024 * MiB - 260_049_152) / 660_000_000));
  });

  it('placement set by the user ends the fit', () => {
    const fixed = { ...dense, options: { ...dense.options, cpuMoe: true, ctxSize: 32768 } };
    const full = find('v0.5.0-llama-3.1-8b-1x8192-c32768');
    const measure = (): ReturnType<FitInput['measure']> => input(full).measure({ ...options(full.flags) });
    const result = solveFit({ ...fixed, measure });
    expect(result.status).toBe('failure');
    expect(result.log.at(-1)).toContain('already set by user');
    expect(solveFit({ ...fixed, options: { ...fixed.options, splitMode: 'tensor' } }).measurements).toBe(0);
  });
});
