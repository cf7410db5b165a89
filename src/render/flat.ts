// Forms of the plan for other programs: CSV of the budget, GitHub annotations, JUnit. They carry the same figures as
// the JSON and compute nothing.
import type { Diagnostic } from '../diagnostics.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { RequirementOutcome } from '../plan/require.ts';
import type { Plan } from '../plan/types.ts';
import { capacityText } from './devices.ts';
import { escapeXml, visible } from './text.ts';

export function planCsv({ result }: PlanOutput): string {
  const rows: (string | number)[][] = [['rank', 'gpu', 'item', 'bytes', 'lowBytes', 'highBytes', 'confidence']];
  for (const device of result.devices) {
    for (const item of device.items)
      rows.push([device.rank, device.gpu, item.id, item.bytes, item.lowBytes, item.highBytes, item.confidence]);
  }
  return csvText(rows);
}

export function csvText(rows: readonly (readonly (string | number)[])[]): string {
  return `${rows.map((row) => row.map(csvField).join(',')).join('\r\n')}\r\n`;
}

/** RFC 4180; a leading =, +, - or @ of a text is defused, because spreadsheets would run it. */
export function csvField(value: string | number): string {
  if (typeof value === 'number') return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Workflow commands of GitHub Actions: one annotation for the verdict, each failed requirement and each diagnostic. */
export function planGithub({ result, diagnostics }: PlanOutput, outcomes: readonly RequirementOutcome[]): string {
  const { verdict, workload } = result;
  const failure = failureOf(result);
  const answer =
    failure === null
      ? annotation('notice', 'vram plan', `fits: ${capacityText(result)}`)
      : annotation(verdict.fits && workload ? 'warning' : 'error', 'vram plan', failure);
  return githubText([answer], outcomes, diagnostics);
}

/** Annotations of an answer, then one for each failed requirement and each diagnostic. */
export function githubText(
  answer: readonly string[],
  outcomes: readonly RequirementOutcome[],
  diagnostics: readonly Diagnostic[],
): string {
  const lines = [
    ...answer,
    ...outcomes
      .filter(({ holds }) => !holds)
      .map(({ requirement, actual }) =>
        annotation('error', 'vram requirement', `${requirement} does not hold: ${String(actual)}`),
      ),
    ...diagnostics.map((d) => annotation(githubLevel(d), d.code, d.hint ? `${d.message} (${d.hint})` : d.message)),
  ];
  return `${lines.join('\n')}\n`;
}

function githubLevel({ severity }: Diagnostic): 'error' | 'warning' | 'notice' {
  return severity === 'note' ? 'notice' : severity;
}

export function annotation(level: string, title: string, message: string): string {
  const data = message.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
  return `::${level} title=${title.replace(/[:,%\r\n]/g, ' ')}::${visible(data)}`;
}

/** What is wrong with the plan, in the engine's words where it has some. */
function failureOf({ verdict, workload }: Plan): string | null {
  if (verdict.fits && workload?.fits !== false) return null;
  return verdict.engineError ?? verdict.reason ?? 'does not fit';
}

/** One test case for the verdict and one for each requirement. */
export function planJunit({ input, result }: PlanOutput, outcomes: readonly RequirementOutcome[]): string {
  const name = `${input.model.id} on ${input.gpu.count}x ${input.gpu.id}`;
  const cases = [{ name: 'fits', failure: failureOf(result) }, ...requirementCases(outcomes)];
  return junitText('vram.plan', name, cases);
}

export function requirementCases(outcomes: readonly RequirementOutcome[]): JunitCase[] {
  return outcomes.map(({ requirement, holds, actual }) => ({
    name: requirement,
    failure: holds ? null : `is ${String(actual)}`,
  }));
}

export interface JunitCase {
  name: string;
  /** What is wrong; null: nothing. */
  failure: string | null;
}

export function junitText(className: string, suite: string, cases: readonly JunitCase[]): string {
  const body = cases.map(({ name: caseName, failure }) => {
    const open = `    <testcase classname="${className}" name="${escapeXml(caseName)}"`;
    return failure === null
      ? `${open}/>`
      : `${open}>\n      <failure message="${escapeXml(failure)}"/>\n    </testcase>`;
  });
  const failures = cases.filter(({ failure }) => failure !== null).length;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n  <testsuite name="${escapeXml(suite)}" tests="${cases.length}" failures="${failures}">\n${body.join('\n')}\n  </testsuite>\n</testsuites>\n`;
}
