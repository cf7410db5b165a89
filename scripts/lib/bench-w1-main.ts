// Times one of W1a and W1b (`blocks`, `roomy`, `tight`) in this process after warm-up, beside a reference loop, and prints the best
// seconds as JSON; the smaller of wall and CPU time of each run, since other programs lengthen the one and the collector's threads
// the other.
import { w1a, w1b, w1Requests } from './bench-w1.ts';

/** Best of the runs, in seconds. */
export interface W1Seconds {
  reference: number;
  workload: number;
}

const requests = w1Requests();
const workloads: Record<string, { runs: number; work: () => unknown }> = {
  blocks: { runs: 30, work: () => w1a(requests, true) },
  roomy: { runs: 60, work: () => w1b({ requests }, 16_385) },
  tight: { runs: 60, work: () => w1b({ requests }, 8_193) },
};
const { runs, work } = workloads[process.argv[2] as string]!;
const seconds: W1Seconds = { reference: best(7, referenceLoop), workload: best(runs, work) };
console.log(JSON.stringify(seconds));

/** Ten million rounds of the generator that W1 draws from. */
function referenceLoop(): number {
  let state = 12345;
  for (let i = 0; i < 10_000_000; i++) state = (Math.imul(1664525, state) + 1013904223) >>> 0;
  return state;
}

function best(runs: number, work: () => unknown): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1e6, (performance.now() - start) / 1e3);
  }
  return least;
}
