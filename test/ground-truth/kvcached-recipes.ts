// The benchmarks of kvcached that can be run again without a GPU, as workloads and pool files: ovg-project/kvcached at e8e6406, the script
// named at each. Their requests come from their own generator (kvcached-requests.json) or are stated by it to the second.
import { readFileSync } from 'node:fs';
import { assert } from '../../src/assert.ts';
import { poolSetup } from '../../src/commands/pool-setup.ts';
import { quietIo } from '../../src/io.ts';
import { resolvePool } from '../../src/load/pool.ts';
import { ElasticPool } from '../../src/sim/sharing/elastic-pool.ts';
import { evenLayout } from '../../src/sim/sharing/page-layout.ts';
import { SharedSimulation } from '../../src/sim/sharing/run.ts';
import type { SharedRun } from '../../src/sim/sharing/types.ts';
import type { SimRequest, TokenRuns, Workload } from '../../src/sim/types.ts';
import { randomStream } from '../../src/sim/workload/random.ts';
import { generatedFrom, generatedStride, privateFrom, statedEnd } from '../../src/sim/workload/token-space.ts';
import type { KvcachedSharing } from '../../src/spec/sharing.ts';

type Row = [prefix: number, promptTokens: number, outputTokens: number];

const rows = JSON.parse(readFileSync(new URL('./kvcached-requests.json', import.meta.url), 'utf8')) as Record<
  'idle' | 'reuse',
  Row[]
>;

const hotTokens = 128;
/** No prompt is longer; ranges of token ids so far apart never meet. */
const apart = 4096;

/** benchmarks/bench_idle_footprint/workload.py: 96 requests at a time, sent in order. `outputs`: tokens of every answer, where stated. */
export function idleWorkload(recipe: 'idle' | 'reuse', outputs?: number): Workload {
  const requests = rows[recipe].map(([prefix, promptTokens, drawn], i) => {
    const own = privateFrom + i * apart;
    const hot = statedEnd - (1 + prefix) * apart;
    const pooled = statedEnd - (1000 - prefix) * apart;
    let prompt: TokenRuns = [own, own + promptTokens];
    if (prefix >= 0) prompt = [hot, hot + hotTokens, own, own + promptTokens - hotTokens];
    else if (recipe === 'reuse') prompt = [pooled, pooled + promptTokens];
    return requestOf(i, 0, prompt, promptTokens, outputs ?? drawn);
  });
  return { requests, concurrency: 96 };
}

/**
 * benchmarks/bench_latency_benefit (run_benchmark.sh, get_ramp_up_down_requests): one request a second more every second up to `peak`,
 * down again, then one a second for as long as the others take; every model starts when the ramp of the one before is over.
 */
export function rampWorkload(peak: number, model: number): Workload {
  const delay = Math.floor(peak / 4) + 2 * peak;
  const rates = Array.from({ length: 2 * peak - 1 }, (_, second) => peak - Math.abs(second + 1 - peak));
  const ramp = rates.flatMap((rate, second) => Array.from({ length: rate }, (_, k) => second + k / rate));
  const tail = Array.from({ length: (3 - model) * delay }, (_, k) => rates.length + k);
  const requests = [...ramp, ...tail].map((at, k) => {
    const own = privateFrom + (model * 10_000 + k) * apart;
    return requestOf(model * 10_000 + k, model * delay + at, [own, own + 256], 256, 256);
  });
  return { requests };
}

/** benchmarks/bench_frag/bench_evict.py: 8192 blocks of 16 KiB, 128 a page; so many empty pages stay mapped. */
export function evictionPool(eviction: KvcachedSharing['eviction'], reserved: number): ElasticPool {
  const pool = new ElasticPool(
    {
      layout: evenLayout(64, 128),
      caching: true,
      maxCached: Number.MAX_SAFE_INTEGER,
      eviction,
      allocation: 'last-touched',
      evicts: 'ahead',
    },
    { now: 0 },
  );
  const addPage = (): boolean => {
    pool.addPage();
    return true;
  };
  addPage();
  pool.begin({
    mappable: () => pool.pagesLeft,
    demand: addPage,
    keeps: () => pool.emptyPages < reserved,
    opened: () => undefined,
    lacks: () => undefined,
    unmapped: () => undefined,
    mayGrow: true,
  });
  return pool;
}

/** Its fill_cache(): blocks taken, cached and given back in order, then every stride-th touched and given back. */
export function fillCache(pool: ElasticPool, count: number, stride: number): void {
  pool.expect(count);
  const blocks = Array.from({ length: count }, () => pool.take());
  for (const block of blocks) pool.register(block, block, stride);
  giveBack(pool, blocks);
  const hot = blocks.filter((_, i) => i % stride === 0);
  for (const block of hot) pool.touch(block);
  giveBack(pool, hot);
}

/** The first one first; a release starts at the end. */
function giveBack(pool: ElasticPool, blocks: readonly number[]): void {
  pool.release(Int32Array.from(blocks.toReversed()), blocks.length - 1, blocks.length, 'tail');
}

/** The run of the first policy of a pool file, its models with these workloads. */
export async function runOf(file: string, workloads: readonly Workload[]): Promise<SharedRun> {
  const spec = await resolvePool('-', { stdin: () => file });
  const [first] = (await poolSetup(spec, quietIo())).runs;
  if (!first || 'refused' in first) throw new Error(first?.refused);
  return withWorkloads(first.run, workloads);
}

export function withWorkloads(run: SharedRun, workloads: readonly Workload[]): SharedRun {
  const models = run.models.map((model, i) => ({ ...model, run: { ...model.run, workload: workloads[i]! } }));
  return { ...run, models };
}

function requestOf(
  index: number,
  arrival: number,
  prompt: TokenRuns,
  promptTokens: number,
  outputTokens: number,
): SimRequest {
  const outputBase = generatedFrom + index * generatedStride;
  return { id: String(index), arrival, prompt, promptTokens, outputTokens, maxTokens: outputTokens, outputBase };
}

/** benchmarks/bench_idle_footprint/README.md: an L40, Qwen3-4B, vLLM 0.22.1, the server's options in run_idle_footprint.py. */
export const idlePool = (options: string): string =>
  `gpu: l40
engine: vllm@0.22.1
policy: kvcached
policyOptions: { kvcached: { ${options} } }
models: [{ model: qwen3-4b, options: { max-model-len: 8192 }, workload: { ref: alpaca, limit: 1 } }]
`;

/** Before pull request 390, with its eviction, and with its allocation too (today's). */
export const before = 'allocation: last-touched, eviction: lru';
export const evicts = 'allocation: last-touched, eviction: whole-page';
export const today = 'allocation: best-fit, eviction: whole-page';

export interface Idle {
  /** Page ids in use: not those that are mapped and empty, as they count. */
  pages: number;
  cached: number;
  hits: number;
  requestsPerSecond: number;
}

export async function idleAfter(options: string, workload: Workload): Promise<Idle> {
  const simulation = new SharedSimulation(await runOf(idlePool(options), [workload]));
  simulation.run();
  const { pool } = simulation.memory.tenants[0]!;
  const { result } = simulation.engines[0]!.end();
  assert(result.requests.finished === workload.requests.length, 'every request is served');
  return {
    pages: pool.mappedPages - pool.emptyPages,
    cached: pool.cachedFree,
    hits: simulation.engines[0]!.begun.system.counters.hitTokens,
    requestsPerSecond: workload.requests.length / result.makespanSeconds,
  };
}

/** The same requests sent in another order. */
function reordered({ requests, ...rest }: Workload, seed: number): Workload {
  const random = randomStream(seed, 'order');
  const drawn = requests.map((request) => ({ request, at: random.uniform() }));
  return { requests: drawn.sort((a, b) => a.at - b.at).map(({ request }) => request), ...rest };
}

/** One order of the requests says little about the pages that are left: five more. */
export function otherOrders(options: string): Promise<Idle[]> {
  return Promise.all([1, 2, 3, 4, 5].map((seed) => idleAfter(options, reordered(idleWorkload('idle'), seed))));
}

export const meanPages = (runs: readonly Idle[]): number =>
  runs.reduce((sum, { pages }) => sum + pages, 0) / runs.length;

export const rampWorkloads = (peak: number): Workload[] => [0, 1, 2].map((model) => rampWorkload(peak, model));

export function rampRun(policy: string, option: string): Promise<SharedRun> {
  const options = `{ max-model-len: 62000, enable-prefix-caching: false${option} }`;
  const models = [1, 2, 3].map(
    (i) =>
      `  - { id: instance${i}, model: llama-3.1-8b-instruct, options: ${options}, workload: { ref: alpaca, limit: 1 } }`,
  );
  const head = `gpu: a100-80gb\nengine: vllm@0.9.2\npolicy: ${policy}\nmodels:\n`;
  return runOf(`${head}${models.join('\n')}\n`, rampWorkloads(12));
}

/** Mean over the models of the mean and of the 99th percentile, milliseconds (plot_ttft.py). */
export function ttft(run: SharedRun): { mean: number; p99: number } {
  const simulation = new SharedSimulation(run);
  simulation.run();
  const models = simulation.engines.map((engine) => engine.end().result.latency.ttftSeconds);
  const over = (of: (one: (typeof models)[number]) => number): number =>
    (1e3 * models.reduce((sum, one) => sum + of(one), 0)) / models.length;
  return { mean: over(({ mean }) => mean), p99: over(({ p99 }) => p99) };
}
