// `vram simulate --pool FILE`: the models of a pool file run together on one clock under the policy it names, and under those it
// compares with. Glue only: what runs is pool-setup.ts, how it runs src/sim/sharing, forms simulate-pool-render.ts.
import { extname } from 'node:path';
import type { Command } from 'commander';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { looseKey } from '../load/names.ts';
import { resolvePool } from '../load/pool.ts';
import { loadPresets } from '../load/presets.ts';
import { findSharing } from '../load/sharing.ts';
import { envelope } from '../plan/output.ts';
import { checkRequirement, parseRequirement } from '../plan/require.ts';
import type { SharedOutput, SharedPolicyResult, SharedResultOutput, SharedVariant } from '../plan/shared-output.ts';
import { sharedAdvice } from '../plan/sharing/advice.ts';
import { sharedOutputOf } from '../plan/sharing/simulated.ts';
import { variantName } from '../plan/sharing/variant.ts';
import { visible } from '../render/text.ts';
import type { PoolLoading, PoolSpec } from '../spec/pool.ts';
import { formNamed, styleFor, tellDiagnostics, tellFailedRequirements, writeOutput } from './output.ts';
import { memberEcho } from './pool-echo.ts';
import { type PoolRun, type PoolSetup, poolSetup } from './pool-setup.ts';
import type { SimulateArguments } from './simulate-arguments.ts';
import { checkTimeline, modelRequestsCsv } from './simulate-files.ts';
import { runPools } from './simulate-pool-jobs.ts';
import { renderShared, renderSharedTimeline } from './simulate-pool-render.ts';
import type { PoolOutcome } from './simulate-pool-run.ts';
import { carriesDiagnostics, simulateForms } from './simulate-render.ts';

export async function simulatePool(file: string, command: Command, args: SimulateArguments, io: Io): Promise<number> {
  checkAlone(command, args);
  const requirements = args.require.map(parseRequirement);
  const form = formNamed(args.format, simulateForms);
  checkTimeline(args.timeline);
  const spec = withArguments(await resolvePool(file, { env: io.env }), args);
  const setup = await poolSetup(spec, io);
  const outcomes = await simulated(setup.runs, args, io);
  const output = outputOf(setup, outcomes);
  const checked = requirements.map((requirement) => checkRequirement(requirement, output.result));
  if (args.timeline !== undefined) {
    const kind = extname(args.timeline).slice(1).toLowerCase() as 'csv' | 'svg' | 'html';
    await writeOutput(await renderSharedTimeline(output, kind), args.timeline, io);
  }
  if (args.perRequest !== undefined) await writeOutput(requestsCsv(setup, outcomes), args.perRequest, io);
  const style = styleFor(args.output, io);
  await writeOutput(await renderShared(output, { form, outcomes: checked, style }), args.output, io);
  if (!carriesDiagnostics.has(form)) tellDiagnostics(output.diagnostics, io);
  if (form === 'csv' || form === 'svg')
    for (const one of output.result.refused)
      io.err(`not run: ${visible(variantName(one, output.input.pool))}: ${visible(one.reason)}\n`);
  tellFailedRequirements(checked, io);
  const { models } = output.result;
  const served =
    outcomes[0]!.ok &&
    models.some(({ requests }) => requests.finished > 0) &&
    models.every(({ requests }) => requests.finished > 0 || requests.total === 0);
  return served && checked.every(({ holds }) => holds) ? 0 : 1;
}

/** Every request of every model under the chosen policy. */
function requestsCsv({ pool, workloads }: PoolSetup, outcomes: readonly PoolOutcome[]): string {
  const kept = outcomes.find((outcome) => outcome.ok && outcome.requests);
  const requests = (kept?.ok && kept.requests) || [];
  return modelRequestsCsv(
    requests.map((perRequest, i) => ({
      model: pool.members[i]!.member.id,
      workload: workloads[i]!.workload,
      perRequest,
      fileOrder: workloads[i]!.description.fileOrder,
    })),
  );
}

/** What a pool file says itself, or what is for one model only. */
function checkAlone(command: Command, { commandWords, policies }: SimulateArguments): void {
  const given = command.options.find(
    (option) => !beside.has(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (given || commandWords !== undefined) {
    const option = given?.long ?? 'an existing command';
    throw inputError('VRAM750', `${option} and --pool exclude each other`, {
      hint: 'the pool file names models, GPUs, their options, workloads and what counts as served well (vram schema pool)',
      path: given?.long ?? '--pool',
    });
  }
  for (const id of policies) if (id !== 'all') findSharing(id, '--policy');
}

/** What goes with a pool file; it says everything else itself. */
const beside: ReadonlySet<string> = new Set([
  'pool',
  'policy',
  'loading',
  'seed',
  'jobs',
  'findMaxRate',
  'advice',
  'color',
  'timeline',
  'perRequest',
  'require',
  'format',
  'json',
  'output',
]);

/** --policy, --loading and --seed go before what the file says; what is named here is compared with what is named here alone. */
function withArguments(spec: PoolSpec, { policies, loadings, simulation }: SimulateArguments): PoolSpec {
  const { seed } = simulation;
  return {
    ...spec,
    ...(policies.length > 0 ? { policies, compare: policies.includes('all') ? 'all' : [] } : {}),
    ...(policies.includes('all') ? { policies: [...policies.filter((id) => id !== 'all'), ...spec.policies] } : {}),
    ...(loadings.length > 0 ? { loadings: loadingsNamed(loadings, spec) } : {}),
    ...(seed === undefined ? {} : { seed }),
  };
}

/** Behaviours by their ids, with the fields that the file gives them; all: those of the file, then every other there is. */
function loadingsNamed(names: readonly string[], { loadings }: PoolSpec): PoolLoading[] {
  const ofFile = (name: string): PoolLoading | undefined =>
    loadings.find(({ id, preset }) => looseKey(id ?? preset ?? 'own') === looseKey(name));
  const all = loadPresets('loading').map(({ id }) => id);
  return names.flatMap((name) =>
    name === 'all'
      ? [...loadings, ...all.filter((id) => !ofFile(id)).map((preset) => ({ preset }))]
      : [ofFile(name) ?? { preset: name }],
  );
}

async function simulated(runs: readonly PoolRun[], args: SimulateArguments, io: Io): Promise<PoolOutcome[]> {
  const ready = runs.flatMap((one) => ('run' in one ? [one.run] : []));
  const done = await runPools(ready, {
    io,
    threads: args.jobs,
    findMaxRate: args.findMaxRate,
    perRequest: args.perRequest !== undefined,
  });
  let next = 0;
  return runs.map((one) => ('run' in one ? done[next++]! : { ok: false, reason: one.refused }));
}

function outputOf({ pool, workloads, runs }: PoolSetup, outcomes: readonly PoolOutcome[]): SharedOutput {
  const policies: SharedPolicyResult[] = [];
  const refused: SharedResultOutput['refused'] = [];
  outcomes.forEach((outcome, i) => {
    const one = runs[i]!;
    if (outcome.ok) {
      const { maxRate } = outcome;
      policies.push({ ...sharedOutputOf(one, outcome.result), ...(maxRate ? { maxRate } : {}) });
    } else refused.push({ ...variantOf(one), reason: outcome.reason });
  });
  const chosen = runs.findIndex((_, i) => outcomes[i]!.ok);
  const outcome = outcomes[chosen];
  const result = outcome?.ok ? outcome.result : undefined;
  const run = runs[chosen];
  const engines = run && 'run' in run ? run.run.models.map((model) => model.run.setup) : [];
  const compared = {
    policies: [...new Set(runs.map(({ policy }) => policy.id))],
    loadings: pool.loadings.map(({ id, name, summary }) => ({ id, name, summary })),
  };
  const statics = new Set(runs.filter(({ policy }) => policy.kind === 'static').map(({ policy }) => policy.id));
  return envelope(
    'simulate',
    inputOf({ pool, workloads, runs }, compared),
    {
      ...variantOf(runs[Math.max(0, chosen)]!),
      models: (result?.models ?? []).map(({ id, ...figures }, i) => ({
        policy: engines[i]!.policy,
        settings: {},
        id,
        ...figures,
        eviction: engines[i]!.eviction,
        advice: [],
      })),
      pool: result?.pool ?? null,
      timeline: result?.timeline ?? [],
      policies,
      refused,
      advice: sharedAdvice(policies, statics, compared),
    },
    [...pool.diagnostics, ...workloads.flatMap(({ diagnostics }) => diagnostics)],
  );
}

type Compared = Pick<SharedOutput['input']['pool'], 'policies' | 'loadings'>;

/** What was asked, resolved. */
function inputOf(
  { pool: { spec, gpus, members }, workloads, runs: [first] }: PoolSetup,
  compared: Compared,
): SharedOutput['input'] {
  return {
    pool: {
      file: spec.file,
      name: spec.name,
      policy: first!.policy.id,
      loading: first!.loading?.id ?? null,
      ...compared,
    },
    gpu: { name: gpus[0]!.name, count: gpus.length, totalBytes: gpus[0]!.cudaTotalBytes },
    models: members.map((one, i) => ({ ...memberEcho(one), workload: workloads[i]!.echo })),
    seed: spec.seed,
  };
}

function variantOf({ policy, loading }: PoolRun): SharedVariant {
  return { policy: policy.id, loading: loading?.id ?? null };
}
