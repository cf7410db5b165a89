// Picks the form of a simulation's result.
import { inputError } from '../diagnostics.ts';
import { nearestNames, printable } from '../load/names.ts';
import type { RequirementOutcome } from '../plan/require.ts';
import { runsOf, type SimulateOutput, type SingleRun } from '../plan/simulate-output.ts';
import { simulateCsv, simulateGithub, simulateJunit, simulateMarkdown } from '../render/simulate-flat.ts';
import { curveTable, runsTable } from '../render/simulate-runs.ts';
import { simulateTable } from '../render/simulate-table.ts';
import { titleOf } from '../render/simulate-text.ts';
import type { TableStyle } from '../render/table.ts';

export const simulateForms = ['table', 'json', 'yaml', 'markdown', 'csv', 'github', 'junit', 'html', 'svg'] as const;
export type SimulateForm = (typeof simulateForms)[number];

export function simulateForm(format: string | undefined): SimulateForm {
  if (format === undefined) return 'table';
  const known = simulateForms.find((name) => name === format.toLowerCase());
  if (known) return known;
  throw inputError('VRAM154', `a simulation has no format ${JSON.stringify(printable(format))}`, {
    hint: `did you mean ${nearestNames(format, simulateForms, 1)[0] ?? 'table'}? (${simulateForms.join(', ')})`,
    path: '--format',
  });
}

export interface SimulateLook {
  form: SimulateForm;
  outcomes: readonly RequirementOutcome[];
  style: TableStyle;
}

export async function renderSimulation(
  output: SimulateOutput,
  { form, outcomes, style }: SimulateLook,
): Promise<string> {
  const { result } = output;
  switch (form) {
    case 'table':
      if ('curve' in result) return curveTable({ ...output, result }, style);
      if ('runs' in result) return runsTable({ ...output, result }, style);
      return simulateTable({ ...output, result: result as SingleRun }, style);
    case 'json':
      return `${JSON.stringify(output, null, 2)}\n`;
    case 'yaml': {
      const { stringify } = await import('yaml');
      return stringify(output, { lineWidth: 0 });
    }
    case 'markdown':
      return simulateMarkdown(output);
    case 'csv':
      return simulateCsv(output);
    case 'github':
      return simulateGithub(output, outcomes);
    case 'junit':
      return simulateJunit(output, outcomes);
    case 'html':
      return (await import('../render/simulate-html.ts')).simulateHtml(output);
    case 'svg':
      return (await import('../render/simulate-chart.ts')).timelineSvg(runsOf(result), titleOf(output));
  }
}

/** Forms for people end with advice unless it is turned off; forms for programs carry it when asked for. */
export const formsForPeople: ReadonlySet<SimulateForm> = new Set(['table', 'markdown', 'html']);
/** Forms that hold the diagnostics themselves. */
export const carriesDiagnostics: ReadonlySet<SimulateForm> = new Set(['json', 'yaml', 'markdown', 'github', 'html']);
