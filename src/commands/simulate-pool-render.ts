// Several simulated models that share GPUs, in each of the forms of a simulation. What the forms hold is in src/render; here one is
// picked, and what is large is loaded only then.
import type { RequirementOutcome } from '../plan/require.ts';
import type { SharedOutput } from '../plan/shared-output.ts';
import { sharedCsv, sharedGithub, sharedJunit, sharedMarkdown, sharedTimelineCsv } from '../render/shared-flat.ts';
import { sharedTable } from '../render/shared-table.ts';
import { sharedTitle } from '../render/shared-text.ts';
import type { TableStyle } from '../render/table.ts';
import { dataText } from './output.ts';
import type { SimulateForm } from './simulate-render.ts';

interface SharedLook {
  form: SimulateForm;
  outcomes: readonly RequirementOutcome[];
  style: TableStyle;
}

export async function renderShared(output: SharedOutput, { form, outcomes, style }: SharedLook): Promise<string> {
  switch (form) {
    case 'table':
      return sharedTable(output, style);
    case 'json':
    case 'yaml':
      return dataText(form, output);
    case 'markdown':
      return sharedMarkdown(output);
    case 'csv':
      return sharedCsv(output);
    case 'github':
      return sharedGithub(output, outcomes);
    case 'junit':
      return sharedJunit(output, outcomes);
    case 'html':
      return (await import('../render/shared-html.ts')).sharedHtml(output);
    case 'svg':
      return (await import('../render/shared-chart.ts')).sharedSvg(output, sharedTitle(output));
  }
}

/** Who holds what over time, for --timeline FILE: by what the file's name ends with. */
export async function renderSharedTimeline(output: SharedOutput, form: 'csv' | 'svg' | 'html'): Promise<string> {
  if (form === 'csv') return sharedTimelineCsv(output);
  if (form === 'svg') return (await import('../render/shared-chart.ts')).sharedSvg(output, sharedTitle(output));
  return (await import('../render/shared-html.ts')).sharedTimelineHtml(output);
}
