// Times W1a and W1b in this process after warm-up and prints the best seconds as JSON; the smaller of wall and CPU time of each run,
// since other programs lengthen the one and the collector's threads the other.
import { w1a, w1b, w1Requests } from './bench-w1.ts';

export interface W1Seconds {
  reference: number;
  blocks: number;
  roomy: number;
  tight: number;
}

const requests = w1Requests();
const seconds: W1Seconds = {
  reference: best(7, referenceLoop),
  blocks: best(30, () => w1a(requests, true)),
  roomy: best(20, () => w1b({ requests }, 16_385)),
  tight: best(20, () => w1b({ requests }, 8_193)),
};
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
