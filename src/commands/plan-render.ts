// Picks the form of a plan and writes it: to standard output, or to a file that is complete or not there.
import { inputError, VramError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { nearestNames } from '../load/names.ts';
import { writeWhole } from '../load/write.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { RequirementOutcome } from '../plan/require.ts';
import { commandText, composeYaml, dockerText, flagsLine, kubernetesYaml, vllmYaml } from '../render/deploy.ts';
import { explainTable } from '../render/explain.ts';
import { planCsv, planGithub, planJunit } from '../render/flat.ts';
import { planMarkdown } from '../render/markdown.ts';
import { planTable, type TableStyle } from '../render/table.ts';

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

export interface RenderOptions {
  format: Format;
  outcomes: readonly RequirementOutcome[];
  style: TableStyle;
  explain: boolean;
}

export function formatOf({ format }: { format?: string }): Format {
  if (format === undefined) return 'table';
  const known = formats.find((name) => name === format.toLowerCase());
  if (known) return known;
  throw inputError('VRAM154', `there is no format ${JSON.stringify(format)}`, {
    hint: `did you mean ${nearestNames(format, formats, 1)[0] ?? 'table'}? (${formats.join(', ')})`,
    path: '--format',
  });
}

export async function renderPlan(
  output: PlanOutput,
  { format, outcomes, style, explain }: RenderOptions,
): Promise<string> {
  switch (format) {
    case 'table':
      return planTable(output, style) + (explain ? `\n${explainTable(output, style)}` : '');
    case 'json':
      return `${JSON.stringify(output, null, 2)}\n`;
    case 'yaml': {
      const { stringify } = await import('yaml');
      return stringify(output, { lineWidth: 0 });
    }
    case 'markdown':
      return planMarkdown(output, outcomes);
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
      return (await import('../render/html.ts')).planHtml(output);
    case 'svg':
      return (await import('../render/chart.ts')).planSvg(output);
  }
}

export async function writeOutput(text: string, file: string | undefined, io: Io): Promise<void> {
  if (file === undefined || file === '-') {
    io.out(text);
    return;
  }
  if (file === '')
    throw inputError('VRAM167', '--output names no file', { hint: 'e.g. -o plan.json', path: '--output' });
  try {
    writeWhole(file, text);
  } catch (error) {
    throw new VramError(
      'VRAM301',
      `cannot write ${file}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`,
      'check that the directory exists and can be written',
      { cause: error },
    );
  }
}
