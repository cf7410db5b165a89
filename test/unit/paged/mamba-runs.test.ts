// Runs with Mamba groups against vLLM's own scheduler and KV-cache manager (no model), several releases: every integer, and in every
// step every block of every request and the whole free queue, as a CRC-32 over the run.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import type { SchedulerRunFile } from '../../../src/load/run-config.ts';
import { schedulerRules } from '../../../src/load/scheduler-rules.ts';
import { readTrace } from '../../../src/load/traces/read.ts';
import type { PagedSystem } from '../../../src/sim/paged/system.ts';
import { crc32 } from '../../../src/sim/run/crc32.ts';
import { runConfigured } from '../../../src/sim/run/run-config.ts';

const folder = new URL('../../ground-truth/mamba-runs/', import.meta.url).pathname;
const { runs } = JSON.parse(readFileSync(`${folder}runs.json`, 'utf8')) as SchedulerRunFile;
const cases = runs.flatMap((run) =>
  (run.engines ?? []).map((version) => ({ name: `${run.id} on ${version}`, run, version })),
);

describe('as vLLM itself', () => {
  it.each(cases)('$name', async ({ run, version }) => {
    const { workload, fileOrder } = await readTrace(`${folder}${run.workload}`, { env: process.env });
    const rules = schedulerRules(resolveEngineRef(`vllm@${version}`).profile);
    const steps: string[] = [];
    const trace = (time: number, system: PagedSystem): void => void steps.push(`${time} ${stateOf(system)}`);
    const { counters } = runConfigured({
      config: run.config,
      rules,
      workload,
      ...(fileOrder ? { fileOrder } : {}),
      trace,
    });
    expect({ ...counters, blockIdsCrc32: crc32(steps.join('\n')) }).toMatchObject(run.expect);
  });
});

/** The free queue from its head, and the blocks of what runs: request by request, group by group. */
function stateOf({ kv, scheduler }: PagedSystem): string {
  const ids = scheduler.running.map(({ request }) => request.id);
  const tables = scheduler.running.map((sequence) =>
    sequence.tables.map(({ ids, length }) => Array.from(ids.subarray(0, length))),
  );
  return `${crc32(kv.pool.freeOrder().join(','))} ${crc32(JSON.stringify([ids, tables]))}`;
}
