// `npm run measured-runs -- DIRECTORY... [--gpu NAME]`: measured serving runs beside their simulation, figure by figure. Errors of times
// are relative, of the cache's use in points, of the queues the mean absolute difference over the mean observed.
import { type MeasuredRun, simulateMeasured } from './lib/measured.ts';

const words = process.argv.slice(2);
const gpuAt = words.indexOf('--gpu');
const gpu = gpuAt < 0 ? undefined : words[gpuAt + 1];
const directories = words.filter((word, i) => !word.startsWith('--') && (gpuAt < 0 || i !== gpuAt + 1));
if (directories.length === 0) {
  console.error('usage: npm run measured-runs -- DIRECTORY... [--gpu NAME]');
  process.exitCode = 2;
}
for (const directory of directories) {
  try {
    console.log(report(await simulateMeasured(directory.replace(/\/$/, ''), gpu === undefined ? {} : { gpu })));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

function report({ name, gpu: device, estimate, blocks, preemptions, comparison }: MeasuredRun): string {
  const rows = comparison.map(({ figure, observed, simulated, error, unit }) => {
    const digits = unit === 's' ? 2 : 1;
    const label = unit === 's' || unit === 'ms' ? `${figure}, ${unit}` : figure;
    const off = error === null ? '-' : unit === 'points' ? `${error.toFixed(1)} points` : percent(error, unit);
    return `| ${label} | ${observed.toFixed(digits)} | ${simulated.toFixed(digits)} | ${off} |`;
  });
  return [
    `${name} on ${device}: ${blocks} blocks, ${preemptions} preemptions simulated; ${estimate}`,
    '',
    '| figure | observed | simulated | error |',
    '|---|--:|--:|--:|',
    ...rows,
    '',
  ].join('\n');
}

function percent(error: number, unit: 's' | 'ms' | 'share'): string {
  const sign = unit === 'share' || error < 0 ? '' : '+';
  return `${sign}${(error * 100).toFixed(1)} %`;
}
