// `--deployment` of a planning command: the configuration as words that go before the typed ones, and what it says beside the
// answer. A bundle of its own, loaded when the option is given.
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { resolveDeployment } from '../load/deployment.ts';
import { deploymentReport } from '../plan/deployment/claims.ts';
import { deploymentWords, vllmEnvironment } from '../plan/deployment/words.ts';
import type { PlanOutput } from '../plan/output.ts';
import { deploymentMarkdown, deploymentText } from '../render/deployment.ts';
import type { TableStyle } from '../render/table.ts';

export interface OpenedDeployment {
  words: string[];
  environment: Record<string, string> | undefined;
  /** Puts the claims beside the figures, and returns what follows the plan in this form. */
  tell(output: PlanOutput, format: string, style: TableStyle): string;
}

export async function openDeployment(
  ref: string,
  command: 'plan' | 'simulate',
  existing: boolean,
  io: Io,
): Promise<OpenedDeployment> {
  if (existing) {
    throw inputError('VRAM172', '--deployment and an existing command both say what is served', {
      hint: 'leave one of them out; single options beside --deployment override its own',
      path: '--deployment',
    });
  }
  const preset = await resolveDeployment(ref, { env: io.env });
  return {
    words: deploymentWords(preset, command),
    environment: vllmEnvironment(preset),
    tell(output, format, style) {
      const report = deploymentReport(preset, output);
      output.result.deployment = report;
      if (format === 'table') return deploymentText(report, style);
      return format === 'markdown' ? deploymentMarkdown(report) : '';
    },
  };
}
