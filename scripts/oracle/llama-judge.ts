// One case of what released llama.cpp builds allocate against the library: every buffer to the byte (or to the printed MiB where it
// is a view of the file), every -fit decision, every refusal.
import { readFileSync } from 'node:fs';
import { planLlama } from '../../src/engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../../src/engines/llamacpp/request.ts';
import { resolveLlamaRef } from '../../src/load/engine.ts';
import { ggufOfPreset } from '../../src/load/gguf-preset.ts';
import { loadPreset } from '../../src/load/presets.ts';
import { type BufferKind, bufferKinds, type Plan } from '../../src/plan/types.ts';
import type { GgufModel } from '../../src/spec/gguf.ts';
import { readLlamaWords } from '../../src/spec/llama-options.ts';
import { MiB } from '../../src/units.ts';
import type { LlamaOracleCase } from './llama-line.ts';

export interface LlamaCheck {
  /** e.g. kv, rs, output, model gpu, compute gpu, compute host, fit, refused. */
  quantity: string;
  predicted: number;
  observed: number;
  /** Equal to the byte, or to the printed digits. */
  equal: boolean;
}

export interface LlamaVerdict {
  case: LlamaOracleCase;
  checks: LlamaCheck[];
  failures: string[];
}

export function judgeLlamaCase(line: LlamaOracleCase): LlamaVerdict {
  const verdict: LlamaVerdict = { case: line, checks: [], failures: [] };
  const check = (quantity: string, predicted: number, observed: number, equal: boolean, text?: string): void => {
    verdict.checks.push({ quantity, predicted, observed, equal });
    if (!equal) verdict.failures.push(text ?? `${quantity} ${predicted} planned, ${observed} allocated`);
  };
  let plan: Plan;
  try {
    plan = planLlama(requestOf(line)).plan;
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0]! : String(error);
    check('planned', 0, 1, false, `planning failed: ${message}`);
    if (process.env.ORACLE_TRACE) console.error(error);
    return verdict;
  }
  const refused = plan.verdict.engineError !== null && !/memory/i.test(plan.verdict.engineError);
  if (line.error !== undefined) {
    check('refused', Number(refused), 1, refused, `planned, the build says: ${line.error}`);
    return verdict;
  }
  if (refused) {
    check('planned', 0, 1, false, `refused (${plan.verdict.engineError}), the build loads it`);
    return verdict;
  }
  if (line.fit) checkFit(line.fit, plan, check);
  else checkBuffers(line, plan, check);
  return verdict;
}

type Check = (quantity: string, predicted: number, observed: number, equal: boolean, text?: string) => void;

/** Per GPU; all other places together are the host. */
function checkBuffers(line: LlamaOracleCase, plan: Plan, check: Check): void {
  for (const kind of bufferKinds) {
    const predicted = plan.buffersBytes?.[kind] ?? {};
    const exact = line.bytes?.[kind] ?? {};
    const printed = line.mib?.[kind] ?? {};
    const gpus = new Set([...Object.keys(predicted), ...Object.keys(exact)].filter((place) => place.startsWith('gpu')));
    for (const place of gpus) compare(`${kind} gpu`, predicted[place] ?? 0, exact[place] ?? 0, place);
    const hostPlaces = (places: Record<string, number>): string[] =>
      Object.keys(places).filter((p) => !p.startsWith('gpu'));
    const hostPredicted = hostPlaces(predicted).reduce((sum, place) => sum + predicted[place]!, 0);
    const hostExact = hostPlaces(exact).reduce((sum, place) => sum + exact[place]!, 0);
    const views = Object.values(printed);
    if (views.length === 0) {
      if (hostPredicted > 0 || hostExact > 0) compare(`${kind} host`, hostPredicted, hostExact, 'host');
      continue;
    }
    const observed = hostExact + views.reduce((sum, mib) => sum + mib, 0) * MiB;
    // Two printed decimals per view.
    const near = Math.abs(hostPredicted - observed) <= 0.0051 * MiB * views.length;
    check(
      `${kind} host`,
      hostPredicted,
      Math.round(observed),
      near,
      `${kind} host ${(hostPredicted / MiB).toFixed(2)} MiB planned, ${(observed / MiB).toFixed(2)} printed`,
    );
  }
  function compare(quantity: string, planned: number, allocated: number, place: string): void {
    const error = allocated > 0 ? ` (${((planned / allocated - 1) * 100).toFixed(2)} %)` : '';
    check(
      quantity,
      planned,
      allocated,
      planned === allocated,
      `${quantity} ${place}: ${planned} planned, ${allocated} allocated${error}`,
    );
  }
}

function checkFit(fit: NonNullable<LlamaOracleCase['fit']>, { fit: planned }: Plan, check: Check): void {
  const split = (planned?.tensorSplit ?? []).join(',');
  const wantedSplit = fit.ts === undefined || /^[0,]*$/.test(fit.ts) ? '' : fit.ts;
  const blocks = expertBlocks(planned?.overrides ?? []);
  const wanted = fit.cpuMoeBlocks ? JSON.stringify(fit.cpuMoeBlocks) : '';
  const same =
    planned !== undefined &&
    planned.status === fit.status &&
    planned.nCtx === fit.nCtx &&
    planned.ngl === fit.ngl &&
    (/^[0,]*$/.test(split) ? '' : split) === wantedSplit &&
    blocks.whole === wanted &&
    JSON.stringify(blocks.partial) === JSON.stringify(fit.partial ?? []);
  const shown = planned ? { ...planned, overrides: undefined, ...blocks } : null;
  check('fit', Number(same), 1, same, `fit ${JSON.stringify(shown)}, the build decides ${JSON.stringify(fit)}`);
}

/** Patterns of whole blocks as { CPU: "17-47" }, others as they stand. */
function expertBlocks(overrides: readonly string[]): { whole: string; partial: string[] } {
  const whole = new Map<string, number[]>();
  const partial: string[] = [];
  for (const override of overrides) {
    const match = /^blk\\\.(\d+)\\\.ffn_\([a-z_|]+\)_\(ch\|\)exps=(.+)$/.exec(override);
    if (!match) {
      partial.push(override);
      continue;
    }
    whole.set(match[2]!, [...(whole.get(match[2]!) ?? []), Number(match[1])]);
  }
  const ranges = Object.fromEntries([...whole].map(([place, blocks]) => [place, rangesOf(blocks)]));
  return { whole: whole.size > 0 ? JSON.stringify(ranges) : '', partial };
}

function rangesOf(blocks: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const block of [...new Set(blocks)].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last && last[1] === block - 1) last[1] = block;
    else runs.push([block, block]);
  }
  return runs.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(',');
}

const ordered = new WeakMap<GgufModel, GgufModel>();
const order = JSON.parse(
  readFileSync(new URL('../../test/ground-truth/llamacpp-file-order.json', import.meta.url), 'utf8'),
) as { outside: string[]; blocks: Record<string, string[]> };

/** Views of a file reach over what lies between its tensors: they are put in the order in which the cases' files have them. */
export function inFileOrder(model: GgufModel): GgufModel {
  let file = ordered.get(model);
  if (!file) {
    const suffixes = order.blocks[model.architecture] ?? [];
    const place = (list: readonly string[], name: string): number =>
      list.includes(name) ? list.indexOf(name) : list.length;
    const rank = (name: string): number => {
      const block = /^blk\.(\d+)\.(.*)$/.exec(name);
      return block ? 1000 * (Number(block[1]) + 1) + place(suffixes, block[2]!) : place(order.outside, name);
    };
    file = { ...model, tensors: [...model.tensors].sort((a, b) => rank(a.name) - rank(b.name)) };
    ordered.set(model, file);
  }
  return file;
}

function freeBytes(mib: number | readonly number[], gpus: number): number[] {
  return Array.from({ length: gpus }, (_, i) => (typeof mib === 'number' ? mib : mib[i]!) * MiB);
}

function requestOf(line: LlamaOracleCase): LlamaRequest {
  const engine = resolveLlamaRef(`llama.cpp@${line.build}`);
  const { options, rest } = readLlamaWords(line.flags.split(/\s+/));
  if (rest.length > 0) throw new Error(`unknown flags ${rest.join(' ')}`);
  const gpu = loadPreset('gpus', 'rtx4090');
  const { spec, model: quantized } = ggufOfPreset(line.modelSlug!, line.scheme);
  const model = inFileOrder(quantized);
  return {
    spec,
    model,
    scheme: line.scheme,
    gpus: Array.from({ length: line.gpus }, () => gpu),
    ...(line.freeMiB === undefined ? {} : { freeBytes: freeBytes(line.freeMiB, line.gpus) }),
    version: engine.version,
    build: engine.build,
    rules: engine.rules,
    options: { ...options, ...(line.outputs === 'batch' ? { program: 'llama-cli' as const } : {}) },
  };
}

export type { BufferKind };
