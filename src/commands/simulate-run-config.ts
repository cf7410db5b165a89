// `vram simulate --run-config FILE[#id]`: runs of a scheduler-runs file taken whole, with every field of their `expect` counted. One
// run on one release gives a single result, anything else one result each.
import { dirname, join } from 'node:path';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { readText } from '../load/context.ts';
import { resolveEngineRef } from '../load/engine.ts';
import { parseJsonObject } from '../load/json.ts';
import { nearestNames, printable } from '../load/names.ts';
import type { RunFile, RunOfFile } from '../load/run-config-schema.ts';
import { schedulerRules } from '../load/scheduler-rules.ts';
import { differencesOf, type NamedRun, type SimulateOutput, simulateOutput } from '../plan/simulate-output.ts';
import type { PerRequest } from '../sim/result.ts';
import { type RunConfig, runConfigured } from '../sim/run/run-config.ts';
import { perRequestOf, resultOf } from '../sim/run/simulate.ts';
import { Statistics } from '../sim/run/statistics.ts';
import { writeOutput } from './output.ts';
import type { SimulateArguments } from './simulate-arguments.ts';
import { perRequestCsv } from './simulate-files.ts';
import { type RunWorkload, Workloads } from './simulate-workload.ts';

const option = '--run-config';
/** The source of May 2026, of which files without a release were made, has the rules of this one. */
const releaseOfMay2026 = '0.22.1';

interface ConfiguredAnswer {
  output: SimulateOutput;
  /** Every expected integer was met. */
  exact: boolean;
}

export async function simulateRunConfig(args: SimulateArguments, io: Io): Promise<ConfiguredAnswer> {
  checkAlone(args);
  const [path, id] = splitReference(args.runConfig!);
  const file = await readRunFile(path, io);
  const runs = id === undefined ? file.runs : [runNamed(file, id)];
  const diagnostics: Diagnostic[] = [];
  const workloads = new Map<string, Workloads>();
  const jobs = runs.flatMap((run) => versionsOf(run, file, args).map((version) => ({ run, version })));
  if (jobs.length > 1 && args.perRequest !== undefined) {
    throw inputError('VRAM670', '--per-request is for one run', {
      hint: `name it: ${option} ${path}#${jobs[0]!.run.id}`,
      path: '--per-request',
    });
  }
  const results: NamedRun[] = [];
  let first: RunWorkload | undefined;
  let exact = true;
  for (const { run, version } of jobs) {
    const ref = args.workload ?? (path === '-' ? run.workload : join(dirname(path), run.workload));
    if (!workloads.has(ref)) workloads.set(ref, new Workloads(ref, io));
    const loaded = await workloads.get(ref)!.of({});
    first ??= loaded;
    const { named, perRequest, ...outcome } = oneRun(run, version, loaded);
    results.push(named);
    exact &&= outcome.differs.length === 0;
    if (outcome.differs.length > 0) diagnostics.push(differing(run, version, outcome));
    if (args.perRequest !== undefined)
      await writeOutput(perRequestCsv(loaded.workload, perRequest, loaded.description.fileOrder), args.perRequest, io);
  }
  const engine = resolveEngineRef(`vllm@${jobs[0]!.version}`);
  const input = {
    model: null,
    gpu: null,
    engine: {
      id: engine.id,
      name: engine.name,
      version: engine.version,
      release: engine.release,
      options: { ...jobs[0]!.run.config },
    },
    parallel: null,
    workload: first!.echo,
    poolSource: 'run-config' as const,
    seed: 0,
  };
  const notes = [...engine.diagnostics, ...first!.diagnostics, ...diagnostics];
  const result = results.length === 1 ? { ...results[0]!, advice: [] } : { runs: results, refused: [] };
  return { output: simulateOutput(input, result, notes), exact };
}

function oneRun(
  { id, config: stated, expect, workload: name }: RunOfFile,
  version: string,
  { workload, description }: RunWorkload,
): { named: NamedRun; perRequest: PerRequest; differs: string[]; hostEvictions: number } {
  const config = stated as RunConfig;
  const rules = schedulerRules(resolveEngineRef(`vllm@${version}`).profile);
  const { fileOrder } = description;
  const order = fileOrder ? { fileOrder } : {};
  let statistics: Statistics | undefined;
  const { counters, clock, system } = runConfigured({
    config,
    rules,
    workload,
    ...order,
    observe(observed) {
      statistics = new Statistics(observed);
      return statistics;
    },
  });
  const asked = { workload, maxModelLen: config.maxModelLen, ...order };
  const figures = resultOf(asked, clock, { system, statistics: statistics! });
  const result = { ...figures, pool: { ...figures.pool, numBlocks: config.numBlocks } };
  const settings = { run: id, engine: version, workload: name };
  const expected = expect ? { expected: expect } : {};
  const made = { policy: 'paged', eviction: 'lru', settings, ...result, counters, ...expected };
  return {
    named: made,
    perRequest: perRequestOf(clock, asked),
    differs: differencesOf(made),
    hostEvictions: system.scheduler.connector?.tiers.host.evictions ?? 0,
  };
}

/** Releases give up host blocks in the order of Python sets: their integers can change with the hash seed of the process. */
function differing(
  { id }: RunOfFile,
  version: string,
  { differs, hostEvictions }: { differs: readonly string[]; hostEvictions: number },
): Diagnostic {
  return {
    severity: 'warning',
    code: 'VRAM671',
    message: `${id} on ${version} differs from what is expected: ${differs.join(', ')}`,
    ...(hostEvictions > 0
      ? {
          hint: `${hostEvictions} host blocks were evicted, in vLLM in an order that can depend on Python's hash seed`,
        }
      : {}),
    path: option,
  };
}

function checkAlone(args: SimulateArguments): void {
  const { given, simulation, policies, evictions, sweeps, model, gpu } = args;
  const others = [
    ...(model === undefined ? [] : ['--model']),
    ...(gpu === undefined ? [] : ['--gpu']),
    ...(policies.length > 0 ? ['--policy'] : []),
    ...(evictions.length > 0 ? ['--eviction'] : []),
    ...(sweeps.length > 0 ? ['--sweep'] : []),
    ...(args.findMaxRate ? ['--find-max-rate'] : []),
    ...(args.cacheOnly ? ['--cache-only'] : []),
    ...(args.objectives.length > 0 ? ['--slo'] : []),
    ...(args.events === undefined ? [] : ['--events']),
    ...(Object.keys(given).length + Object.keys(simulation).filter((key) => key !== 'stepTime').length > 0
      ? ['options of the engine, the scheduler or the workload']
      : []),
  ];
  if (others.length === 0) return;
  throw inputError('VRAM672', `${option} takes a run whole: ${others.join(', ')} cannot change it`, {
    hint: 'only --engine, --workload, --timeline, --per-request and the output options go with it',
    path: option,
  });
}

function splitReference(reference: string): [path: string, id: string | undefined] {
  const at = reference.lastIndexOf('#');
  return at < 0 ? [reference, undefined] : [reference.slice(0, at), reference.slice(at + 1)];
}

async function readRunFile(path: string, io: Io): Promise<RunFile> {
  const value = parseJsonObject(readText(path, { env: io.env }, option), path);
  const { runFileSchema } = await import('../load/run-config-schema.ts');
  const parsed = runFileSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue!.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
  const what = issue!.message.endsWith('received undefined') ? 'is missing' : printable(issue!.message, 200);
  throw inputError('VRAM673', `${printable(path)} is no file of scheduler runs: ${place ? `${place}: ` : ''}${what}`, {
    hint: 'the format is vram-scheduler-runs/1.1',
    path: option,
  });
}

function runNamed({ runs }: RunFile, id: string): RunOfFile {
  const found = runs.find((run) => run.id === id);
  if (found) return found;
  const near = nearestNames(
    id,
    runs.map((run) => run.id),
    3,
  );
  throw inputError('VRAM674', `there is no run ${JSON.stringify(printable(id))} in the file`, {
    hint:
      near.length > 0
        ? `did you mean ${near.join(', ')}?`
        : `runs: ${runs
            .slice(0, 10)
            .map((run) => run.id)
            .join(', ')}${runs.length > 10 ? ', ...' : ''}`,
    path: option,
  });
}

/** As asked for; else those that the run names; else the file's own. */
function versionsOf({ engines }: RunOfFile, { engine }: RunFile, args: SimulateArguments): string[] {
  if (args.engine !== undefined) return [resolveEngineRef(args.engine).version];
  // Every release named gave the same integers: one of them stands for all where one run is asked for.
  if (engines) return args.runConfig!.includes('#') ? engines.slice(-1) : engines;
  return [/\d+\.\d+(?:\.\d+)?(?:\.post\d+)?/.exec(engine)?.[0] ?? releaseOfMay2026];
}
