// What kvcached published of itself beside the simulator, as a table of the README. The recipes, and what is asserted of each figure, are in
// test/ground-truth/kvcached*.ts; sources (ovg-project/kvcached at e8e6406) are named there.
import { findSharing } from '../../src/load/sharing.ts';
import { GiB } from '../../src/units.ts';
import {
  before,
  evictionPool,
  evicts,
  fillCache,
  idleAfter,
  idleWorkload,
  meanPages,
  otherOrders,
  rampRun,
  rampWorkloads,
  today,
  ttft,
  withWorkloads,
} from '../../test/ground-truth/kvcached-recipes.ts';

export async function kvcachedTable(): Promise<string[]> {
  const policy = findSharing('kvcached');
  if (policy.kind !== 'kvcached') throw new Error(policy.kind);
  const { perPageId, perPage } = policy.mapSeconds;
  const id = (layers: number): number => layers * 2 * policy.pageBytes;
  const mapped = (ids: number): string => (ids * (perPageId + 64 * perPage) * 1e3).toFixed(1);
  const idle = await Promise.all([before, evicts, today].map((options) => idleAfter(options, idleWorkload('idle'))));
  const means = await Promise.all(
    [before, evicts, today].map(async (options, i) =>
      meanPages([idle[i]!, ...(await otherOrders(options))]).toFixed(0),
    ),
  );
  const short = await idleAfter(before, idleWorkload('idle', 4));
  const reuse = await Promise.all([before, evicts].map((options) => idleAfter(options, idleWorkload('reuse'))));
  const { knees, mean, p99 } = await ramps();
  const rows: [what: string, published: string, simulated: string][] = [
    ['bytes of a page id, 36 layers', '144 MiB', `${id(36) / 2 ** 20} MiB`],
    [
      'GB freed by eviction, oldest first, stride 1, 2, 4, 8 (RTX PRO 4000)',
      '0.84, 0.75, 0.50, 0.03',
      freed('lru', policy.maxReservedPages, id(8)),
    ],
    ['the same, whole pages first', '0.88, 0.88, 0.88, 0.88', freed('whole-page', policy.maxReservedPages, id(8))],
    [
      'page ids an idle Qwen3-4B holds (L40; packed: 16; simulated: mean of six orders): before #390',
      '73, 75',
      means[0]!,
    ],
    ['with whole-page eviction', '37, 38', means[1]!],
    ['with best-fit allocation too', '22, 22', means[2]!],
    ['prefix cache hits of that run, tokens', '93,952', idle[2]!.hits.toLocaleString('en')],
    ['answers of 4 tokens instead of 16 to 256, before #390 ¹', '27', String(short.pages)],
    [
      'prompts from a pool of 200: before #390, with whole-page eviction',
      '63-64, 34-35',
      reuse.map(({ pages }) => pages).join(', '),
    ],
    ['ms to map 25 and 100 page ids (L40S) ²', '4.0-18.1, 15.6-57.2', `${mapped(25)}, ${mapped(100)}`],
    ['3 x Llama-3.1-8B, A100-80G: requests/s at the peak from which they queue, static, shared', '15, 17', knees],
    ['mean TTFT, static over shared, at peaks 14, 15, 16, 17, 18, 20', '0.9, 2.5, 6.2, 7.6, 4.6, 2.0', mean],
    ['P99 TTFT, the same', '0.9, 17.4, 28.2, 7.8, 3.0, 1.2', p99],
  ];
  return [
    '| kvcached measured | published | simulated |',
    '|---|--:|--:|',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ];
}

/** As in bench_evict.py: 4096 blocks are cached, every stride-th used again, all but 512 go. */
function freed(eviction: 'lru' | 'whole-page', reserved: number, idBytes: number): string {
  const pool = evictionPool(eviction, reserved);
  return [1, 2, 4, 8]
    .map((stride) => {
      fillCache(pool, 4096, stride);
      const inUse = pool.mappedPages - pool.emptyPages;
      pool.dropCached(pool.cachedFree - 512);
      const pages = inUse - (pool.mappedPages - pool.emptyPages);
      pool.reset();
      return ((pages * idBytes) / GiB).toFixed(2);
    })
    .join(', ');
}

async function ramps(): Promise<{ knees: string; mean: string; p99: string }> {
  const peaks = [12, 13, 14, 15, 16, 17, 18, 20];
  const slice = await rampRun('static', ', gpu-memory-utilization: 0.31');
  const shared = await rampRun('kvcached', '');
  const times = peaks.map((peak) => ({
    peak,
    fixed: ttft(withWorkloads(slice, rampWorkloads(peak))),
    shared: ttft(withWorkloads(shared, rampWorkloads(peak))),
  }));
  // Requests wait where the mean is twice that of the lowest peak.
  const knee = (of: 'fixed' | 'shared'): number =>
    times.find((one) => one[of].mean > 2 * times[0]![of].mean)?.peak ?? Number.NaN;
  const ratios = (of: 'mean' | 'p99'): string =>
    times
      .slice(2)
      .map((one) => (one.fixed[of] / one.shared[of]).toFixed(1))
      .join(', ');
  return { knees: `${knee('fixed')}, ${knee('shared')}`, mean: ratios('mean'), p99: ratios('p99') };
}
