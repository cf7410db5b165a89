// `vram simulate --cache-only`: the blocks of a workload through caches of several sizes, without engine or clock.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { resolveEngineRef } from '../load/engine.ts';
import { type SimulateOutput, simulateOutput } from '../plan/simulate-output.ts';
import { evictionPolicies } from '../sim/cache/order.ts';
import { pinnedBlocks, promptBlocks } from '../sim/cache/prompt-blocks.ts';
import { hitRateCurve } from '../sim/cache/replay.ts';
import { choose, type SimulateArguments } from './simulate-arguments.ts';
import { Workloads } from './simulate-workload.ts';

/** Engine's default, where the trace has no granularity of its own. */
const defaultBlockTokens = 16;

export async function simulateCache(args: SimulateArguments, io: Io): Promise<SimulateOutput> {
  const evictions = (args.evictions.length > 0 ? args.evictions : ['lru']).map((word) =>
    choose(word, evictionPolicies, 'eviction policy', '--eviction'),
  );
  if (args.sweeps.length > 0 || args.findMaxRate || args.timeline || args.events || args.perRequest) {
    throw inputError('VRAM663', '--cache-only has neither engine nor clock', {
      hint: 'it takes --workload, --capacity-blocks, --eviction, --pin-prefix, --block-size and --limit',
      path: '--cache-only',
    });
  }
  // Arrivals do not matter here: a trace without them is as good.
  const { simulation } = args;
  const loaded = await new Workloads(args.workload, io).of(
    { ...simulation, rate: undefined, concurrency: undefined },
    { timeless: true },
  );
  const { workload, description, diagnostics } = loaded;
  const own = description.blockTokens;
  const blockTokens = args.given.blockSize ?? own ?? defaultBlockTokens;
  const refs = promptBlocks(workload, blockTokens, blockTokens === own);
  const capacities = args.capacityBlocks.length > 0 ? args.capacityBlocks : defaultCapacities(refs.distinct);
  const { pinPrefixTokens } = simulation;
  const pins = pinPrefixTokens ? { pinnedIds: pinnedBlocks(refs, workload, blockTokens, pinPrefixTokens) } : {};
  const curve = hitRateCurve(refs, { capacities, evictions, ...pins });
  const engine = resolveEngineRef(args.engine);
  const counting = `Blocks of ${blockTokens} tokens; every block of every prompt counts, the partial last one included, whether or not those before it were found; each is inserted in order.`;
  const result = {
    counting,
    curve: curve.map(({ eviction, capacityBlocks, queriedBlocks, hitBlocks, blockHitRate }) => ({
      eviction,
      capacityBlocks: Number.isFinite(capacityBlocks) ? capacityBlocks : null,
      queriedBlocks,
      hitBlocks,
      blockHitRate,
    })),
  };
  const all: Diagnostic[] = [...engine.diagnostics, ...diagnostics];
  const input = {
    model: null,
    gpu: null,
    engine: { id: engine.id, name: engine.name, version: engine.version, release: engine.release, options: {} },
    parallel: null,
    workload: loaded.echo,
    poolSource: 'none' as const,
    seed: simulation.seed ?? 0,
  };
  return simulateOutput(input, result, all);
}

/** Powers of ten up to what the workload has, then without limit. */
function defaultCapacities(distinct: number): number[] {
  const capacities: number[] = [];
  for (let capacity = 100; capacity < distinct; capacity *= 10) capacities.push(capacity);
  return [...capacities, Number.POSITIVE_INFINITY];
}
