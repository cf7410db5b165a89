// `npm run vectors -- FILE...`: what vLLM's own unit tests state about its block manager and scheduler, run on ours. A line per
// expectation that does not hold; the last line counts the vectors.
import { readFileSync } from 'node:fs';
import type { Vector } from './lib/vectors/common.ts';
import { runVector } from './lib/vectors/index.ts';

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('usage: npm run vectors -- vectors.json...');
  process.exitCode = 2;
}
let holding = 0;
let total = 0;
let compared = 0;
for (const file of files) {
  const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { vectors: Vector[] };
  for (const vector of vectors) {
    const result = runVector(vector);
    total++;
    compared += result.compared;
    if (result.failures.length === 0) holding++;
    for (const failure of result.failures) console.log(`${result.id}: ${failure}`);
  }
}
console.log(`${holding} of ${total} vectors hold (${compared} comparisons)`);
process.exitCode ||= holding === total ? 0 : 1;
