// A plan in each of its forms. What the forms hold is in src/render; here one is picked, and what is large is loaded only then.
import type { PlanOutput } from '../plan/output.ts';
import type { RequirementOutcome } from '../plan/require.ts';
import { commandText, composeYaml, dockerText, flagsLine, kubernetesYaml, vllmYaml } from '../render/deploy.ts';
import { explainTable } from '../render/explain.ts';
import { planCsv, planGithub, planJunit } from '../render/flat.ts';
import { planMarkdown } from '../render/markdown.ts';
import { planTable, type TableStyle } from '../render/table.ts';
import { dataText } from './output.ts';

export const formats = [
  'table',
  'json',
  'yaml',
  'markdown',
  'csv',
  'flags',
  'command',
  'vllm-yaml',
  'docker',
  'compose',
  'kubernetes',
  'github',
  'junit',
  'html',
  'svg',
] as const;
export type Format = (typeof formats)[number];
/** Forms that hold the diagnostics themselves. */
export const planCarriesDiagnostics: ReadonlySet<Format> = new Set(['json', 'yaml', 'html', 'github', 'markdown']);

interface RenderOptions {
  format: Format;
  outcomes: readonly RequirementOutcome[];
  style: TableStyle;
  explain: boolean;
}

export async function renderPlan(
  output: PlanOutput,
  { format, outcomes, style, explain }: RenderOptions,
): Promise<string> {
  switch (format) {
    case 'table':
      return (
        planTable(output, style) +
        (await parallelText(output, style)) +
        (explain ? `\n${explainTable(output, style)}` : '')
      );
    case 'json':
    case 'yaml':
      return dataText(format, output);
    case 'markdown':
      return planMarkdown(output, outcomes, await parallelText(output, plain));
    case 'csv':
      return planCsv(output);
    case 'flags':
      return flagsLine(output);
    case 'command':
      return commandText(output);
    case 'vllm-yaml':
      return vllmYaml(output);
    case 'docker':
      return dockerText(output);
    case 'compose':
      return composeYaml(output);
    case 'kubernetes':
      return kubernetesYaml(output);
    case 'github':
      return planGithub(output, outcomes);
    case 'junit':
      return planJunit(output, outcomes);
    case 'html':
      return (await import('../render/html.ts')).planHtml(output, await parallelText(output, plain));
    case 'svg':
      return (await import('../render/chart.ts')).planSvg(output);
  }
}

/** As in a document: tables of text, without colour. */
const plain: TableStyle = { colour: false, columns: 80 };

async function parallelText({ result }: PlanOutput, style: TableStyle): Promise<string> {
  const { layouts, placement, disaggregation } = result;
  if (disaggregation) return `\n${(await import('./plan-several.ts')).disaggregationText(disaggregation, style)}`;
  if (!layouts && !placement) return '';
  const { layoutsText, placementText } = await import('./plan-parallel.ts');
  const parts = [layouts ? layoutsText(layouts, style) : '', placement ? placementText(placement, style) : ''];
  return parts.map((part) => (part ? `\n${part}` : '')).join('');
}
