// `npm run scheduler-runs -- FILE...`: runs of vLLM's own scheduler (format vram-scheduler-runs/1.1), simulated for every engine
// version they name. A line per run that differs, with each integer that does; the last line counts the exact ones.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { InputError } from '../src/diagnostics.ts';
import { runFile, type SchedulerRunFile } from '../src/load/run-config.ts';

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
        const { counters } = await runFile(run, version, resolve(dirname(file), run.workload), {
          env: process.env,
        });
        const wrong = Object.entries(run.expect).filter(([key, value]) => counters[key] !== value);
        if (wrong.length === 0) exact++;
        else
          console.log(
            `${name}: ${wrong.map(([key, value]) => `${key} ${counters[key]} instead of ${value}`).join(', ')}`,
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
