// `npm run sharing`: policies by which models share the memory of a GPU under the loads of their authors: what is expected, what comes
// out. With --write the README's tables of it are rewritten from the same figures; --only ID runs one case.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { replaceBlock } from './lib/readme-block.ts';
import { sharingCases } from './lib/sharing/cases.ts';
import { runCase } from './lib/sharing/run-case.ts';
import { type Judged, judged, sideBySide, tableOf } from './lib/sharing/table.ts';

const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined;
const from = performance.now();
const all: Judged[] = [];
for (const one of sharingCases)
  if (only === undefined || one.id === only) all.push({ one, trials: await runCase(one) });
const lines = [...tableOf(all), '', ...sideBySide(all)];
const verdicts = all.flatMap(judged);
console.log([...lines, '', summaryOf(verdicts)].join('\n'));
console.log(`${((performance.now() - from) / 1000).toFixed(0)} s`);
if (process.argv.includes('--write') && only === undefined) {
  const readme = fileURLToPath(new URL('../README.md', import.meta.url));
  writeFileSync(readme, replaceBlock(readFileSync(readme, 'utf8'), 'directions', [summaryOf(verdicts), '', ...lines]));
}

function summaryOf(verdicts: readonly { holds: boolean }[]): string {
  return `${verdicts.filter(({ holds }) => holds).length} of ${verdicts.length} expectations come out.`;
}
