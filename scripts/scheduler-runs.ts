// `npm run scheduler-runs -- FILE...`: runs of vLLM's own scheduler (format vram-scheduler-runs/1.1), simulated for every engine
// version they name. A line per run that differs, with each integer that does; the last line counts the exact ones.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { InputError } from '../src/diagnostics.ts';
import { runFile, type SchedulerRunFile } from '../src/load/run-config.ts';
import type { ConfiguredRun } from '../src/sim/run/run-config.ts';

/** Releases give up host blocks in the order of Python sets: their integers can change with the hash seed of the process. */
function seedText({ system }: ConfiguredRun): string {
  const evictions = system.scheduler.connector?.tiers.host.evictions ?? 0;
  return evictions > 0
    ? `; ${evictions} host blocks were evicted, in vLLM in an order that can depend on Python's hash seed`
    : '';
}

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('usage: npm run scheduler-runs -- runs.json...');
  process.exitCode = 2;
}
let exact = 0;
let total = 0;
for (const file of files) {
  const { runs, engine } = JSON.parse(readFileSync(file, 'utf8')) as SchedulerRunFile;
  for (const run of runs) {
    for (const version of run.engines ?? [engine]) {
      total++;
      const name = `${run.id} on ${version}`;
      try {
        const made = await runFile(run, version, resolve(dirname(file), run.workload), {
          env: process.env,
        });
        const { counters } = made;
        const wrong = Object.entries(run.expect).filter(([key, value]) => counters[key] !== value);
        if (wrong.length === 0) exact++;
        else
          console.log(
            `${name}: ${wrong.map(([key, value]) => `${key} ${counters[key]} instead of ${value}`).join(', ')}${seedText(made)}`,
          );
      } catch (error) {
        const text = error instanceof InputError ? error.message : error instanceof Error ? error.stack : String(error);
        console.log(`${name}: ${text}`);
      }
    }
  }
}
console.log(`${exact} of ${total} runs exact`);
process.exitCode ||= exact === total ? 0 : 1;
