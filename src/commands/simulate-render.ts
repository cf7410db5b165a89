// A simulation in each of its forms: one run, several, or a hit-rate curve. What the forms hold is in src/render; here one is
// picked, and what is large is loaded only then.
import type { RequirementOutcome } from '../plan/require.ts';
import { runsOf, type SimulateOutput, type SingleRun } from '../plan/simulate-output.ts';
import { simulateCsv, simulateGithub, simulateJunit, simulateMarkdown } from '../render/simulate-flat.ts';
import { curveTable, runsTable } from '../render/simulate-runs.ts';
import { simulateTable } from '../render/simulate-table.ts';
import { titleOf } from '../render/simulate-text.ts';
import type { TableStyle } from '../render/table.ts';
import { dataText } from './output.ts';

export const simulateForms = ['table', 'json', 'yaml', 'markdown', 'csv', 'github', 'junit', 'html', 'svg'] as const;
export type SimulateForm = (typeof simulateForms)[number];

interface SimulateLook {
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
    case 'yaml':
      return dataText(form, output);
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
