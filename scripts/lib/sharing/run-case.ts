// Runs a case of the comparison: all its trials, or of the first alone what some of its lines compare (tests).
import type { Line, SharingCase } from './lines.ts';
import { type ByVariant, runVariants } from './runs.ts';

export async function runCase({ trials }: SharingCase): Promise<ByVariant[]> {
  const found: ByVariant[] = [];
  for (const trial of trials) found.push(await runTrial(trial));
  return found;
}

export function runLines({ trials }: SharingCase, lines: readonly Line[]): Promise<ByVariant> {
  return runTrial(trials[0]!, new Set(lines.flatMap(({ from, to }) => [from, to])));
}

async function runTrial(trial: SharingCase['trials'][number], only?: ReadonlySet<string>): Promise<ByVariant> {
  let figures: ByVariant = {};
  for (const { spec, variants, change } of await trial()) {
    if (only && !variants.some(({ name }) => only.has(name))) continue;
    const extra = { ...(change ? { change } : {}), ...(only ? { only } : {}) };
    figures = { ...figures, ...(await runVariants(spec, variants, extra)) };
  }
  return figures;
}
