// A scheduler run from a file: its configuration, its workload beside it, the rules of the release it names.
import { type ConfiguredRun, type RunConfig, runConfigured } from '../sim/run/run-config.ts';
import { resolveEngineRef } from './engine.ts';
import { schedulerRules } from './scheduler-rules.ts';
import { readTrace, type Trace } from './traces/read.ts';
import type { TraceContext } from './traces/source.ts';

interface SchedulerRun {
  id: string;
  workload: string;
  engines?: string[];
  config: RunConfig;
  expect: Record<string, number>;
}

export interface SchedulerRunFile {
  format: string;
  engine: string;
  runs: SchedulerRun[];
}

const traces = new Map<string, Promise<Trace>>();

export async function runFile(
  run: SchedulerRun,
  version: string,
  workload: string,
  context: TraceContext,
): Promise<ConfiguredRun> {
  let trace = traces.get(workload);
  if (!trace) {
    trace = readTrace(workload, context);
    traces.set(workload, trace);
  }
  const { workload: requests, fileOrder } = await trace;
  const rules = schedulerRules(resolveEngineRef(`vllm@${version}`).profile);
  return runConfigured({ config: run.config, rules, workload: requests, ...(fileOrder ? { fileOrder } : {}) });
}
