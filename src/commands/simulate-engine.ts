// The runs that a command line asks for, from options to an answer: every combination of policy, eviction and settings planned and
// simulated; one run alone with its files, the search for the highest rate, and advice.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import {
  type NamedRun,
  type RefusedRun,
  type Settings,
  type SimulateOutput,
  type SingleRun,
  simulateOutput,
} from '../plan/simulate-output.ts';
import { type Policy, policies } from '../sim/policies.ts';
import { servingEvictions, workloadRefusal } from '../sim/serving.ts';
import type { Run } from '../sim/simulate.ts';
import { writeOutput } from './output.ts';
import { adviceFor, adviceLimit, workOf } from './simulate-advice.ts';
import { choose, type SimulateArguments } from './simulate-arguments.ts';
import { withoutEffect } from './simulate-checks.ts';
import { EventFile, perRequestCsv } from './simulate-files.ts';
import { type JobOptions, type JobResult, runJobs } from './simulate-jobs.ts';
import { sweepNotes } from './simulate-notes.ts';
import { formsForPeople, type SimulateForm } from './simulate-render.ts';
import { findMaxRate } from './simulate-search.ts';
import { type SetupSource, setupSource } from './simulate-setup.ts';
import { speculationNotes } from './simulate-speculation.ts';
import { combinations } from './simulate-sweep.ts';
import { type RunWorkload, Workloads } from './simulate-workload.ts';

interface Planned {
  policy: Policy;
  eviction: string;
  settings: Settings;
  run: Run;
  workload: RunWorkload;
}

export async function simulateEngine(args: SimulateArguments, form: SimulateForm, io: Io): Promise<SimulateOutput> {
  checkCombination(args);
  const workloads = new Workloads(args.workload, io);
  const first = await workloads.of(args.simulation);
  const source = await setupSource(args, io);
  const { planned, refused, echo } = await plannedRuns(args, source, workloads);
  const diagnostics = [
    ...source.diagnostics,
    ...sweepNotes(args),
    ...contentNotes(args, first),
    ...speculationNotes(planned, args.simulation),
    ...workloadNotes(planned, first),
  ];
  const input = {
    ...source.echo,
    workload: echo ?? first.echo,
    seed: args.simulation.seed ?? 0,
  };
  const options: JobOptions = { io, threads: args.jobs, perRequest: args.perRequest !== undefined };
  const several = planned.length + refused.length !== 1 || planned.length === 0 || args.sweeps.length > 0;
  if (several) {
    const forOne = args.findMaxRate || args.events !== undefined || args.perRequest !== undefined;
    if (forOne && planned.length > 0) throw oneRunOnly(args);
    const results = await runJobs(
      planned.map(({ run: one }) => one),
      options,
    );
    const named = planned.flatMap((one, i) => namedRun(one, results[i]!, refused));
    return simulateOutput(input, { runs: named, refused }, diagnostics);
  }
  const one = planned[0]!;
  if (args.events !== undefined && (one.policy !== 'paged' || one.run.setup.replicas > 1))
    diagnostics.push(requestsOnly);
  const made = await singleRun(one, args, options);
  if (!made.ok)
    return simulateOutput(
      input,
      { runs: [], refused: [...refused, { ...nameOf(one), reason: made.reason }] },
      diagnostics,
    );
  const result: SingleRun = {
    ...nameOf(one),
    ...made.result,
    eviction: one.eviction,
    advice: [],
    ...(made.maxRate ? { maxRate: made.maxRate } : {}),
  };
  if (args.advice && formsForPeople.has(form) && !args.findMaxRate) {
    if (workOf(result) > adviceLimit) diagnostics.push(adviceSkipped);
    else result.advice = await advise(one, result, { args, source, options: { ...options, perRequest: false } });
  }
  return simulateOutput(input, result, diagnostics);
}

const requestsOnly: Diagnostic = {
  severity: 'note',
  code: 'VRAM676',
  message: 'the events are those of requests alone: blocks are seen in the paged pool of one replica',
  path: '--events',
};

const adviceSkipped: Diagnostic = {
  severity: 'note',
  code: 'VRAM667',
  message: 'no changes were tried: the workload is too large to run it several times unasked',
  hint: 'try one with --sweep, or a part of the workload with --limit',
};

function checkCombination({ simulation, findMaxRate: search, objectives, events }: SimulateArguments): void {
  if (!search && objectives.length > 0) {
    throw inputError('VRAM668', '--slo says what --find-max-rate has to hold', {
      hint: 'add --find-max-rate, or assert a figure with --require latency.ttftSeconds.p99<2',
      path: '--slo',
    });
  }
  if (simulation.rate && simulation.concurrency !== undefined) {
    throw inputError('VRAM617', 'a closed loop has no rate', { hint: 'give --rate or --concurrency', path: '--rate' });
  }
  if (events === '-') {
    throw inputError('VRAM669', '--events writes to a file', { hint: 'e.g. --events events.jsonl', path: '--events' });
  }
}

function oneRunOnly({ findMaxRate: search, events }: SimulateArguments): Error {
  const option = search ? '--find-max-rate' : events === undefined ? '--per-request' : '--events';
  return inputError('VRAM670', `${option} is for one run`, {
    hint: 'give one policy and no sweep',
    path: option,
  });
}

/** Every combination of policy, eviction and settings, in that order; those that cannot start are told apart. */
async function plannedRuns(
  args: SimulateArguments,
  source: SetupSource,
  workloads: Workloads,
): Promise<{ planned: Planned[]; refused: RefusedRun[]; echo: RunWorkload['echo'] | undefined }> {
  const chosen = args.policies.length > 0 ? args.policies.map(policyNamed) : [source.defaultPolicy];
  const evictions = (args.evictions.length > 0 ? args.evictions : ['lru']).map((word) =>
    choose(word, servingEvictions, 'eviction policy', '--eviction'),
  );
  const planned: Planned[] = [];
  const refused: RefusedRun[] = [];
  for (const policy of new Set(chosen)) {
    for (const named of new Set(evictions)) {
      for (const settings of combinations(args.sweeps)) {
        const eviction =
          typeof settings.eviction === 'string'
            ? choose(settings.eviction, servingEvictions, 'eviction policy', '--sweep')
            : named;
        const made = source.make(settings, policy, eviction);
        if (!made.ok) {
          refused.push({ policy, settings, reason: made.reason });
          continue;
        }
        const workload = await workloads.of(made.options);
        const reason = workloadRefusal(policy, workload.workload);
        if (reason !== undefined) {
          refused.push({ policy, settings, reason });
          continue;
        }
        const { fileOrder } = workload.description;
        const run: Run = { setup: made.setup, workload: workload.workload, ...(fileOrder ? { fileOrder } : {}) };
        planned.push({ policy, eviction, settings, run, workload });
      }
    }
  }
  const echoes = new Set(planned.map(({ workload }) => workload.echo));
  return { planned, refused, echo: echoes.size === 1 ? planned[0]!.workload.echo : undefined };
}

const policyAliases: Readonly<Record<string, string>> = { static: 'static-batching', vllm: 'paged', v1: 'paged' };

function policyNamed(word: string): Policy {
  const name = Object.hasOwn(policyAliases, word) ? policyAliases[word]! : word;
  return choose(name, policies, 'policy', '--policy');
}

function workloadNotes(planned: readonly Planned[], first: RunWorkload): Diagnostic[] {
  const loaded = new Set([first, ...planned.map(({ workload }) => workload)]);
  const seen = new Set<string>();
  return [...loaded]
    .flatMap(({ diagnostics }) => diagnostics)
    .filter((one) => {
      const key = JSON.stringify(one);
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    });
}

/** Traces whose rows name the model that they are for. */
const severalModels: ReadonlySet<string> = new Set(['prism', 'burstgpt']);

/** Options about turns and models of a workload that has none, and models that are all taken for one. */
function contentNotes({ simulation }: SimulateArguments, { workload, description }: RunWorkload): Diagnostic[] {
  const turns = workload.requests.some(({ after }) => after !== undefined);
  const models = severalModels.has(description.format);
  const notes: Diagnostic[] = [];
  if (simulation.thinkSeconds !== undefined && !turns)
    notes.push(withoutEffect(['--think'], 'the workload has no conversations', '--think'));
  if (simulation.workloadModel !== undefined && !models)
    notes.push(withoutEffect(['--workload-model'], 'the workload names no models', '--workload-model'));
  if (simulation.workloadModel === undefined && models) {
    notes.push({
      severity: 'note',
      code: 'VRAM687',
      message: 'the trace is one of several models: the requests to all of them run on this one',
      hint: '--workload-model takes those to one of them',
      path: '--workload',
    });
  }
  return notes;
}

function nameOf({ policy, settings }: Planned): { policy: string; settings: Settings } {
  return { policy, settings };
}

function namedRun(one: Planned, made: JobResult, refused: RefusedRun[]): NamedRun[] {
  if (made.ok) return [{ ...nameOf(one), eviction: one.eviction, ...made.result }];
  refused.push({ ...nameOf(one), reason: made.reason });
  return [];
}

type Single = { ok: false; reason: string } | { ok: true; result: NamedRun; maxRate?: SingleRun['maxRate'] };

/** One run, or the search for the highest rate; writes what is asked for about its requests and blocks. */
async function singleRun(one: Planned, args: SimulateArguments, options: JobOptions): Promise<Single> {
  const named = (made: JobResult & { ok: true }): NamedRun => ({
    ...nameOf(one),
    eviction: one.eviction,
    ...made.result,
  });
  if (args.findMaxRate) {
    const found = await findMaxRate(one.run, args.objectives, {
      ...options,
      perRequest: args.perRequest !== undefined,
    });
    if ('ok' in found) return found;
    writeRequests(one, found.best, args, options.io);
    return { ok: true, result: named(found.best), maxRate: found.maxRate };
  }
  const events = args.events === undefined ? undefined : new EventFile(args.events);
  try {
    const [made] = await runJobs([one.run], { ...options, ...(events ? { events: events.add } : {}) });
    if (!made!.ok) {
      events?.abandon();
      return made!;
    }
    events?.end();
    await writeRequests(one, made as JobResult & { ok: true }, args, options.io);
    return { ok: true, result: named(made as JobResult & { ok: true }) };
  } catch (error) {
    events?.abandon();
    throw error;
  }
}

async function writeRequests(
  one: Planned,
  made: JobResult & { ok: true },
  args: SimulateArguments,
  io: Io,
): Promise<void> {
  if (args.perRequest === undefined || !made.perRequest) return;
  const { workload, description } = one.workload;
  await writeOutput(perRequestCsv(workload, made.perRequest, description.fileOrder), args.perRequest, io);
}

interface AdviceContext {
  args: SimulateArguments;
  source: SetupSource;
  options: JobOptions;
}

async function advise(
  one: Planned,
  result: SingleRun,
  { args, source, options }: AdviceContext,
): Promise<SingleRun['advice']> {
  const { echo } = source;
  const capability = Number(echo.gpu?.computeCapability ?? 0);
  const resolved = echo.engine.options as { gpuMemoryUtilization?: number; kvCacheDtype?: string };
  const { maxPromptTokens, maxOutputTokens } = one.workload.echo;
  return adviceFor(
    {
      run: one.run,
      result,
      make(settings) {
        const made = source.make({ ...one.settings, ...settings }, one.policy, one.eviction);
        return made.ok ? { ...one.run, setup: made.setup } : undefined;
      },
      planned: echo.poolSource === 'plan' && args.given.numGpuBlocksOverride === undefined,
      utilization: resolved.gpuMemoryUtilization,
      fp8Cache: capability >= 8.9 && !String(resolved.kvCacheDtype ?? 'fp8').startsWith('fp8'),
      longest: maxPromptTokens + maxOutputTokens,
    },
    options,
  );
}
