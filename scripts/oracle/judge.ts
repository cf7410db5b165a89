// One line of an oracle file against the library: builds the request that it describes (model preset, scheme, release, GPU,
// layout), plans it, and compares weights within 0.01 %, pools exactly, refusals by kind.
import { planVllm } from '../../src/engines/vllm/plan.ts';
import { resolveEngineRef } from '../../src/load/engine.ts';
import { vllmRegistry } from '../../src/load/flags.ts';
import { loadPreset, loadPresets } from '../../src/load/presets.ts';
import type { PlanRequest } from '../../src/plan/request.ts';
import type { Plan } from '../../src/plan/types.ts';
import { engineOptionTable } from '../../src/spec/engine-options.ts';
import type { ModelSpec } from '../../src/spec/model.ts';
import { defaultParallel, type EngineOptions } from '../../src/spec/options.ts';
import { findScheme, type QuantizationScheme, schemeOfCheckpoint } from '../../src/spec/quantization.ts';
import type { OracleLine, OraclePool } from './line.ts';

export interface Verdict {
  line: OracleLine;
  failures: string[];
  checks: { name: string; passed: boolean }[];
}

type Check = (name: string, failure: string | undefined) => void;

const gpuOf: Readonly<Record<string, string>> = {
  '7.5': 't4',
  '8.0': 'a100-80gb-sxm',
  '8.6': 'a10g',
  '8.9': 'l40s',
  '9.0': 'h100-sxm',
  '10.0': 'b200',
  '12.0': 'rtx5090',
};
const models = new Map(loadPresets('models').map((model) => [model.id, model]));

export function judgeLine(line: OracleLine, what: { weights: boolean; kv: boolean }): Verdict {
  const verdict: Verdict = { line, failures: [], checks: [] };
  const check: Check = (name, failure) => {
    verdict.checks.push({ name, passed: failure === undefined });
    if (failure !== undefined) verdict.failures.push(failure);
  };
  try {
    if (line.error) {
      const { plan } = planOf(line);
      check(
        'refused',
        plan.verdict.engineError ? undefined : `started, the release refuses: ${line.error.slice(0, 120)}`,
      );
      return verdict;
    }
    if (what.weights) checkWeights(line, planOf(line).plan, check);
    if (what.kv) for (const pool of line.pools ?? []) checkPool(pool, planOf(line, pool).plan, check);
  } catch (error) {
    const text = error instanceof Error ? error.message.split('\n')[0] : String(error);
    check(line.error ? 'refused' : 'planned', line.error ? undefined : `planning failed: ${text}`);
    if (process.env.ORACLE_TRACE) console.error(error);
  }
  return verdict;
}

function checkWeights(line: OracleLine, plan: Plan, check: Check): void {
  const observed = line.weights?.afterProcessing === 'same' ? line.weights.constructed : line.weights?.afterProcessing;
  if (!observed) return;
  const rank = (line.stage ?? 0) * line.tp + ((line.rank ?? 0) % line.tp);
  const planned = plan.devices[rank]?.weights.tensorBytes ?? 0;
  const error = planned / observed.total - 1;
  const refusal = planned === 0 ? ` ${plan.verdict.engineError ?? ''}` : '';
  check(
    'weights',
    Math.abs(error) <= 1e-4
      ? undefined
      : `weights: ${planned} planned, ${observed.total} held, ${(error * 100).toFixed(3)} %${refusal}`,
  );
}

function checkPool(pool: OraclePool, { kvCache, verdict }: Plan, check: Check): void {
  const at = `pool ${pool.availableBytes / 2 ** 30} GiB, length ${pool.maxModelLen}`;
  check(
    'capacityFits',
    verdict.capacityFits === (pool.error === undefined)
      ? undefined
      : `${at}: ${pool.error ? `fits, the release says ${pool.error.slice(0, 90)}` : `refused (${verdict.engineError})`}`,
  );
  if (pool.error !== undefined) return;
  const same = (name: string, planned: number, observed: number | undefined): void => {
    if (observed === undefined) return;
    check(name, planned === observed ? undefined : `${at}: ${name} ${planned} planned, ${observed} observed`);
  };
  same('numBlocks', kvCache.numBlocks, pool.numBlocks);
  same('tokens', kvCache.tokens, pool.tokens);
  const concurrency = Math.round(kvCache.maxConcurrency * 1e4) / 1e4;
  check(
    'maxConcurrency',
    pool.concurrency === undefined || Math.abs(concurrency - pool.concurrency) <= 1.01e-4
      ? undefined
      : `${at}: maxConcurrency ${concurrency} planned, ${pool.concurrency} observed`,
  );
}

function planOf(line: OracleLine, pool?: OraclePool): { plan: Plan } {
  return planVllm(requestOf(line, pool), vllmRegistry());
}

function requestOf(line: OracleLine, pool?: OraclePool): PlanRequest {
  const spec = models.get(line.model);
  if (!spec) throw new Error(`no preset ${line.model}`);
  const { version, release, profile } = resolveEngineRef(line.engine);
  const scheme = schemeOf(line, spec);
  return {
    spec,
    ...(scheme ? { scheme } : {}),
    gpus: [loadPreset('gpus', gpuOf[line.capability] ?? 'h100-sxm')],
    version,
    release,
    profile,
    options: optionsOf(line, pool),
  };
}

function schemeOf(line: OracleLine, spec: ModelSpec): QuantizationScheme | undefined {
  if (!line.quantization) return spec.quantization && schemeOfCheckpoint(spec.quantization);
  const scheme = findScheme(loadPresets('quantizations'), line.quantization);
  if (!scheme) throw new Error(`no scheme ${line.quantization}`);
  return scheme;
}

function optionsOf(line: OracleLine, pool: OraclePool | undefined): EngineOptions {
  return {
    ...defaultParallel,
    tensorParallelSize: line.tp,
    pipelineParallelSize: line.pp,
    dataParallelSize: line.dp ?? 1,
    enableExpertParallel: line.ep,
    enforceEager: true,
    ...(line.quantization ? { quantization: line.quantization } : {}),
    ...(line.env ? { env: line.env } : {}),
    ...Object.fromEntries(Object.entries(line.flags ?? {}).map(([name, value]) => option(name, value))),
    ...(pool ? { maxModelLen: pool.maxModelLen, kvCacheMemoryBytes: pool.availableBytes } : {}),
  };
}

/** An engine argument as the option of that name: enable_prefix_caching is --enable-prefix-caching. */
function option(name: string, value: unknown): [keyof EngineOptions, unknown] {
  const flag = `--${name.replaceAll('_', '-')}`;
  const entry = engineOptionTable.find(({ flags }) => flags.split(/[\s,]+/).includes(flag));
  if (!entry) throw new Error(`no option ${flag}`);
  return [entry.key, typeof value === 'string' || typeof value === 'number' ? entry.read(String(value), flag) : value];
}
