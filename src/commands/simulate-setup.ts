// From the words of a command line to runs as plain data: the pool from the plan or as given, KV groups, limits and scheduler
// options with the release's defaults, and what step times are computed from.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { BatchTier } from '../engines/vllm/defaults/rules.ts';
import { planVllm, type VllmPlanned } from '../engines/vllm/plan.ts';
import type { Profile } from '../engines/vllm/profile.ts';
import type { Io } from '../io.ts';
import { resolveEngineRef } from '../load/engine.ts';
import { plannedFlags, vllmRegistry } from '../load/flags.ts';
import { schedulerRules, schedulerV0Rules } from '../load/scheduler-rules.ts';
import type { PlanRequest } from '../plan/request.ts';
import type { Settings, SimulateInputEcho } from '../plan/simulate-output.ts';
import { nothingLoaded } from '../plan/types.ts';
import type { PagedConfig } from '../sim/paged/config.ts';
import type { Policy } from '../sim/policies.ts';
import { setupRefusal } from '../sim/serving.ts';
import type { SimSetup, StepTimeSetup } from '../sim/setup.ts';
import { longNames } from '../spec/engine-options.ts';
import type { SimulationOptions } from '../spec/simulation-options.ts';
import { defaultAcceptance } from '../spec/simulation-values.ts';
import { checkChoices } from './plan-checks.ts';
import { completeRequest, type ResolvedArguments, resolveArguments } from './plan-request.ts';
import type { SimulateArguments } from './simulate-arguments.ts';
import {
  commandOptions,
  countedOverReplicas,
  optionNotes,
  requirementNote,
  unusedGpus,
  writtenOptions,
} from './simulate-notes.ts';
import { blocksIn, groupOf, groupsGiven, pagedConfig, speculation } from './simulate-paged.ts';
import { asyncRefusal, checkSpeculation } from './simulate-speculation.ts';
import { withSettings } from './simulate-sweep.ts';

/** A run that can be made, or why the engine would not start. */
type MadeSetup = { ok: true; setup: SimSetup; options: SimulationOptions } | { ok: false; reason: string };

export interface SetupSource {
  echo: Pick<SimulateInputEcho, 'model' | 'gpu' | 'engine' | 'parallel' | 'poolSource'>;
  /** The policy that stands for this release when none is named. */
  defaultPolicy: Policy;
  diagnostics: Diagnostic[];
  make(settings: Settings, policy: Policy, eviction: string): MadeSetup;
}

export async function setupSource(args: SimulateArguments, io: Io): Promise<SetupSource> {
  const needsModel = args.model !== undefined || args.fromCommand !== undefined || args.commandWords !== undefined;
  if (!needsModel) return blockSource(args);
  const asked = await resolveArguments({ ...args, alsoRead: commandOptions.flatMap(longNames) }, io);
  return modelSource({ ...args, simulation: { ...writtenOptions(asked.command), ...args.simulation } }, asked);
}

/** A model on a GPU: every run is planned, with the options of that run. */
function modelSource(args: SimulateArguments, asked: ResolvedArguments): SetupSource {
  const { devices } = asked;
  if (devices === undefined) {
    throw inputError('VRAM661', 'no GPU is given: the size of the pool and the time of a step depend on it', {
      hint: 'add --gpu, e.g. --gpu a100-80gb (vram list gpus), or give --kv-group and --num-gpu-blocks without a model',
      path: '--gpu',
    });
  }
  const registry = vllmRegistry();
  const given = { given: asked.given, simulation: args.simulation };
  checkSpeculation(asked.given);
  const plan = (settings: Settings): { planned: VllmPlanned; request: PlanRequest; simulation: SimulationOptions } => {
    const changed = withSettings(given, settings);
    checkChoices(changed.given, plannedFlags());
    checkSpeculation(changed.given);
    const request = { ...devices.request, options: { ...devices.request.options, ...changed.given } };
    return { planned: planVllm(request, registry), request, simulation: changed.simulation };
  };
  const output = completeRequest(asked, devices, false);
  const { model, gpu, engine, parallel } = output.input;
  return {
    echo: { model, gpu, engine, parallel, poolSource: args.simulation.numGpuBlocks === undefined ? 'plan' : 'option' },
    defaultPolicy: engine.options.engine === 'v0' ? 'v0' : 'paged',
    diagnostics: [
      ...output.diagnostics
        .filter(({ code }) => !planOnly.has(code))
        .map((one) => countedOverReplicas(one, parallel.dp)),
      ...unusedGpus(devices.count, devices.request.options),
      ...requirementNote(output.result),
      ...optionNotes(args, devices.request.release, true),
    ],
    make(settings, policy, eviction) {
      const { planned, request, simulation } = plan(settings);
      return setupOf(planned, request, simulation, { policy, eviction });
    },
  };
}

/** What an engine that was planned runs as, or why it would not start. */
export function setupOf(
  planned: VllmPlanned,
  request: PlanRequest,
  simulation: SimulationOptions,
  named: Pick<SimSetup, 'policy' | 'eviction'>,
): MadeSetup {
  const { verdict } = planned.plan;
  const refused = verdict.engineError ?? (verdict.fits ? null : verdict.reason);
  // Blocks that are given need not fit; what the engine refuses before it loads anything stays refused.
  const mayRun = simulation.numGpuBlocks !== undefined && !nothingLoaded(planned.plan);
  const reason = asyncRefusal(request.options, request.profile, request.release);
  if (reason !== undefined) return { ok: false, reason };
  if (refused !== null && !mayRun) return { ok: false, reason: refused };
  return checked({ ...plannedSetup(planned, request, simulation), ...named }, simulation);
}

/** Pitfalls of a plan that a simulation answers with figures of its own. */
const planOnly = new Set(['VRAM501']);

type Unnamed = Omit<SimSetup, 'policy' | 'eviction'>;

function plannedSetup({ plan, resolved, kv }: VllmPlanned, request: PlanRequest, options: SimulationOptions): Unnamed {
  const { kvCache } = plan;
  const dcp = resolved.decodeContextParallelSize;
  const limits = {
    numBlocks: options.numGpuBlocks ?? kvCache.numBlocks,
    blockSize: kvCache.blockSize,
    groups: options.kvGroups
      ? groupsGiven(options.kvGroups)
      : kv.groups.flatMap((group) => groupOf(group, kvCache.blockSize)),
    maxNumSeqs: resolved.maxNumSeqs,
    maxNumBatchedTokens: resolved.maxNumBatchedTokens,
    maxModelLen: kvCache.maxModelLen,
    chunkedPrefill: resolved.enableChunkedPrefill,
    prefixCaching: resolved.enablePrefixCaching,
    asyncScheduling: resolved.asyncScheduling,
    mambaCacheMode: resolved.mambaCacheMode,
    ...(resolved.enableLora && resolved.maxLoras !== undefined ? { maxLoras: resolved.maxLoras } : {}),
    ...(dcp > 1 ? { dcp } : {}),
    ...speculation(request.options, resolved.speculativeTokens),
  };
  const isV0 = resolved.engine === 'v0';
  const rules = schedulerRules(request.profile);
  const time: StepTimeSetup =
    options.stepTime === undefined
      ? {
          kind: 'model',
          spec: request.spec,
          gpu: request.gpus[0]!,
          node: request.nodes?.[0],
          ...(request.scheme ? { scheme: request.scheme } : {}),
          ...(request.draft ? { draft: request.draft } : {}),
          options: resolved,
        }
      : { kind: 'fixed', seconds: options.stepTime };
  return {
    seed: options.seed ?? 0,
    paged: pagedConfig(limits, options, rules, {
      bytesPerBlock: kvCache.bytesPerBlock,
      ranks: resolved.tensorParallelSize * resolved.pipelineParallelSize,
    }),
    rules,
    cpuBlocks: blocksIn(options.swapSpaceGiB ?? 4, kvCache.bytesPerBlock),
    v0: {
      ...schedulerV0Rules(request.profile),
      chunkedPrefill: isV0 ? resolved.enableChunkedPrefill : request.options.enableChunkedPrefill === true,
    },
    // V0 has none, but the option counts one whatever the engine.
    nullBlock: !isV0 || options.numGpuBlocks !== undefined,
    replicas: resolved.dataParallelSize,
    acceptanceRate: options.acceptanceRate ?? defaultAcceptance,
    bytesPerBlock: kvCache.bytesPerBlock,
    time,
  };
}

/** No model: the groups and the pool as given, limits of the release where they are not. */
function blockSource(args: SimulateArguments): SetupSource {
  const { simulation } = args;
  if (simulation.numGpuBlocks === undefined && !args.sweeps.some(({ key }) => key === 'num-gpu-blocks')) {
    throw inputError('VRAM161', 'no model is given', {
      hint: 'add --model and --gpu, or --kv-group full --num-gpu-blocks N to simulate blocks alone',
      path: '--model',
    });
  }
  const engine = resolveEngineRef(args.engine);
  const rules = schedulerRules(engine.profile);
  const hasV0Only = (engine.profile as Record<string, unknown>)['defaults.engine'] === 'v0';
  const given = { given: args.given, simulation };
  const tier = smallestTier(engine.profile);
  const diagnostics = [...engine.diagnostics, ...optionNotes(args, engine.release, false)];
  if (simulation.stepTime === undefined) {
    diagnostics.push({
      severity: 'note',
      code: 'VRAM662',
      message: 'without a model and a GPU no step time can be estimated: every step lasts 1 s',
      hint: 'give --step-time, or --model and --gpu',
      path: '--step-time',
    });
  }
  return {
    echo: {
      model: null,
      gpu: null,
      engine: { id: 'vllm', name: 'vLLM', version: engine.version, release: engine.release, options: {} },
      parallel: null,
      poolSource: 'option',
    },
    defaultPolicy: hasV0Only ? 'v0' : 'paged',
    diagnostics,
    make(settings, policy, eviction) {
      const changed = withSettings(given, settings);
      const own = changed.simulation;
      checkSpeculation(changed.given);
      const refused = asyncRefusal(changed.given, engine.profile, engine.release);
      if (refused !== undefined) return { ok: false, reason: refused };
      const setup: SimSetup = {
        policy,
        eviction,
        seed: own.seed ?? 0,
        paged: pagedConfig(blockLimits(changed, tier, hasV0Only), own, rules, undefined),
        rules,
        cpuBlocks: 0,
        v0: { ...schedulerV0Rules(engine.profile), chunkedPrefill: changed.given.enableChunkedPrefill === true },
        nullBlock: true,
        replicas: 1,
        acceptanceRate: own.acceptanceRate ?? defaultAcceptance,
        bytesPerBlock: null,
        time: { kind: 'fixed', seconds: own.stepTime ?? 1 },
      };
      return checked(setup, own);
    },
  };
}

/** The limits that are given, and those of the release's smallest devices in place of the others. */
function blockLimits(
  { given: options, simulation: own }: { given: SimulateArguments['given']; simulation: SimulationOptions },
  tier: BatchTier,
  hasV0Only: boolean,
): Parameters<typeof pagedConfig>[0] {
  const { maxModelLen } = options;
  return {
    numBlocks: own.numGpuBlocks ?? 2,
    blockSize: options.blockSize ?? 16,
    groups: groupsGiven(own.kvGroups ?? [{ type: 'full' }]),
    maxNumSeqs: options.maxNumSeqs ?? tier.sequences,
    maxNumBatchedTokens: options.maxNumBatchedTokens ?? tier.batchedTokens,
    maxModelLen: typeof maxModelLen === 'number' ? maxModelLen : 131_072,
    chunkedPrefill: options.enableChunkedPrefill ?? true,
    // V0 caches prefixes only when asked to.
    prefixCaching: options.enablePrefixCaching ?? !hasV0Only,
    asyncScheduling: options.asyncScheduling ?? false,
    mambaCacheMode: (options.mambaCacheMode as PagedConfig['mambaCacheMode']) ?? 'none',
    ...(options.maxLoras === undefined ? {} : { maxLoras: options.maxLoras }),
    ...((options.decodeContextParallelSize ?? 1) > 1 ? { dcp: options.decodeContextParallelSize! } : {}),
    ...speculation(
      options,
      Number(options.speculativeConfig?.num_speculative_tokens ?? (options.speculativeConfig ? 1 : 0)),
    ),
  };
}

function checked(setup: SimSetup, options: SimulationOptions): MadeSetup {
  const reason = setupRefusal(setup);
  return reason === undefined ? { ok: true, setup, options } : { ok: false, reason };
}

function smallestTier(profile: Profile): BatchTier {
  const tiers = (profile as Record<string, unknown>)['defaults.batchTiers'] as readonly BatchTier[] | undefined;
  const lowest = [...(tiers ?? [])].sort((a, b) => a.fromGib - b.fromGib)[0];
  return lowest ?? { fromGib: 0, batchedTokens: 2048, sequences: 256 };
}
