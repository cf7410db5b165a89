// The answer of `vram compare --for` for a person: the deployments with their figures and commands, why each comes after the one above,
// and whether the advice of the decision table comes out. For a terminal in 80 columns, and as Markdown. It computes nothing.
import { thousands } from '../numbers.ts';
import type { CompareOutput, CompareRow } from '../plan/compare/output.ts';
import { relations } from '../plan/compare/scenario-claim.ts';
import { figureText } from '../plan/compare/scenario-figures.ts';
import type { ScenarioDeployment, ScenarioModel, ScenarioResult } from '../plan/compare/scenario-output.ts';
import { valueAt } from './compare-cells.ts';
import { escaped } from './markdown.ts';
import { type Paint, paintFor } from './paint.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

export function scenarioText({ result }: CompareOutput, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const scenario = result.scenario!;
  const parts = [
    heading(scenario, result.combinations, paint, width),
    ...scenario.deployments.map((deployment) => deploymentText(deployment, paint, width)),
    scenario.deployments.length === 0 ? nothingText(scenario, paint, width) : claimText(scenario, paint, width),
    othersText(scenario.others, scenario.deployments.length > 0 ? 'Other models' : 'Models', paint, width),
    scenario.deployments.length === 0 ? '' : legend(scenario, paint, width),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function heading(
  { name, question, model, load }: ScenarioResult,
  { planned, fitting, kept }: CompareOutput['result']['combinations'],
  paint: Paint,
  width: number,
): string {
  const counted = `${thousands(planned)} combinations planned, ${thousands(fitting)} fit, ${thousands(kept)} meet the conditions`;
  return [
    paint.bold(visible(name)),
    wrap(visible(question), width),
    wrap(`${model === null ? '' : `${visible(model)}: `}${loadText(load)}`, width),
    paint.dim(wrap(counted, width)),
  ].join('\n');
}

function loadText({ promptTokens, outputTokens, concurrency, longest, context }: ScenarioResult['load']): string {
  const most = longest !== undefined && longest > context ? `, the longest of ${thousands(longest)}` : '';
  return `${thousands(promptTokens)} prompt and ${thousands(outputTokens)} answer tokens, ${thousands(concurrency)} at once${most}`;
}

function deploymentText(
  { rank, words, row, command, losesBecause, fits }: ScenarioDeployment,
  paint: Paint,
  width: number,
): string {
  const lines = figureLines(row).map((line) => `   ${wrap(line, width - 3, 3)}`);
  const label = `after ${rank - 1}:`;
  const why =
    losesBecause === null
      ? []
      : [`   ${wrap(visible(`${label} ${losesBecause}`), width - 3, 3).replace(label, paint.warn(label))}`];
  return [
    `${paint.bold(String(rank))}  ${paint.bold(wrap(visible(words), width - 3, 3))}${fits ? '' : paint.bad('  DOES NOT FIT')}`,
    ...why,
    ...lines,
    `   ${commandLines(command, width - 3).join('\n   ')}`,
  ].join('\n');
}

/** Money, speed, room and quality, each in a line. */
function figureLines(row: CompareRow): string[] {
  const figure = (key: string, unit: string): string => {
    const value = valueAt(row, key);
    return typeof value === 'number' ? figureText(value, unit) : '-';
  };
  const share = valueAt(row, 'speed.uncertaintyShare');
  const sure = typeof share === 'number' ? ` (+-${Math.round(share * 100)} %)` : '';
  return [
    `${figure('price.perMillionOutputTokens', 'USD/M')} tokens, ${figure('price.perHour', 'USD/h')}; ${figure('speed.outputTokensPerSecond', 'tokens/s')} of output${sure}, ${valueAt(row, 'speed.decodeBound')}-bound`,
    `first token ${figure('speed.ttftSeconds', 's')} alone, then ${figure('speed.tpotSeconds', 's')} a token, ${figure('speed.loadedTpotSeconds', 's')} under load`,
    `room for ${figure('workload.maxConcurrencyAtContext', 'sequences')}; quality lost: ${lossText(row)}`,
  ];
}

function lossText(row: CompareRow): string {
  const loss = valueAt(row, 'quality.relativeLoss');
  const relation = valueAt(row, 'quality.relation');
  const weights = /^(auto|bfloat16|float16|half|f16|bf16)$/.test(String(row.kvCacheDtype)) ? '' : ' by the weights';
  if (relation === 'none') return `none${weights}`;
  if (typeof loss !== 'number') return 'not published';
  const on = relations[String(relation)] ?? relation;
  return `${figureText(loss, '%')} (${visible(String(valueAt(row, 'quality.metric') ?? ''))}, of ${on})${weights}`;
}

/** The engine's line, broken before its options. */
function commandLines(command: string, width: number): string[] {
  const line = command.replace(/^(?:#.*\n)+/, '').trim();
  const lines: string[] = [];
  for (const part of line.replace(/\s*\\\n\s*/g, ' ').split(/ (?=-)/)) {
    const last = lines.at(-1);
    const indent = lines.length > 1 || last !== undefined ? '    ' : '';
    if (last !== undefined && last.length + 1 + part.length + 2 <= width) lines[lines.length - 1] = `${last} ${part}`;
    else lines.push(`${indent}${part}`);
  }
  return lines.map((text, at) => visible(at < lines.length - 1 ? `${text} \\` : text));
}

function claimText(
  { claim, holds, because }: Pick<ScenarioResult, 'claim' | 'holds' | 'because'>,
  paint: Paint,
  width: number,
): string {
  const verdict = holds ? paint.good('as the usual table says') : paint.warn('not here');
  return [
    wrap(`${paint.bold('The usual advice:')} ${visible(claim)}`, width),
    `${verdict}${because.length > 0 ? ':' : ''}`,
    ...because.map((text) => `- ${wrap(visible(text), width - 2, 2)}`),
  ].join('\n');
}

function nothingText({ broken, others }: ScenarioResult, paint: Paint, width: number): string {
  const fitting = others.reduce((sum, { combinations }) => sum + combinations.fitting, 0);
  const lines = broken.map(
    ({ because, rows }) =>
      `- ${wrap(`${thousands(rows)} of ${thousands(fitting)} break: ${visible(because)}`, width - 2, 2)}`,
  );
  const why = fitting === 0 ? ['Nothing fits.'] : lines;
  return [paint.bad('NO DEPLOYMENT MEETS ALL CONDITIONS'), ...why].join('\n');
}

/** Models besides, at most, in the table. */
const mostOthers = 10;

function othersText(others: readonly ScenarioModel[], title: string, paint: Paint, width: number): string {
  const shown = others.slice(0, mostOthers).map((other) => `- ${wrap(otherText(other), width - 2, 2)}`);
  if (shown.length === 0) return '';
  const more = others.length - shown.length;
  return [paint.bold(title), ...shown, ...(more > 0 ? [paint.dim(`${more} more: --format json`)] : [])].join('\n');
}

function otherText({ model, deployments, combinations, holds }: ScenarioModel): string {
  const best = deployments[0];
  if (!best)
    return `${visible(model)}: ${combinations.fitting === 0 ? 'nothing fits' : `none of ${thousands(combinations.fitting)} that fit meets the conditions`}`;
  const cost = valueAt(best.row, 'price.perMillionOutputTokens');
  const hour = valueAt(best.row, 'price.perHour');
  const money = [
    typeof cost === 'number' ? figureText(cost, 'USD/M') : '',
    typeof hour === 'number' ? figureText(hour, 'USD/h') : '',
  ].filter(Boolean);
  return `${visible(model)}: ${visible(best.words)}${money.length > 0 ? ` (${money.join(', ')})` : ''}; ${holds ? 'as the table says' : 'not as the table says'}`;
}

function legend({ id, constraints, objective }: ScenarioResult, paint: Paint, width: number): string {
  const texts = [
    `Conditions: ${constraints.map(({ because }) => because).join('; ')}.`,
    `Best by: ${objective.map(({ title, within }) => `${title}${within > 0 ? ` (within ${Math.round(within * 100)} % equal)` : ''}`).join(', then ')}; one of a kind (GPU, engine, bits of weights and cache).`,
    `Speed and cost are estimates by roofline: what differs by less than their range may change places when measured. Sources and notes: vram show scenario ${id}.`,
  ];
  return paint.dim(wrap(visible(texts.join(' ')), width));
}

export function scenarioMarkdown({ result }: CompareOutput): string {
  const scenario = result.scenario!;
  const { name, question, load, model, deployments, claim, holds, because } = scenario;
  const rows = deployments.map(({ rank, words, row, losesBecause }) => [
    String(rank),
    words,
    ...figureLines(row),
    losesBecause ?? '',
  ]);
  const head = ['#', 'deployment', 'cost and speed ~', 'latency ~', 'room and quality', 'after the one above because'];
  const table = [head, head.map(() => '---'), ...rows].map(
    (cells) => `| ${cells.map((cell) => (cell === '---' ? cell : escaped(cell))).join(' | ')} |`,
  );
  const commands = deployments.map(
    ({ rank, command }) => `${rank}. \`${command.replace(/^(?:#.*\n)+/, '').replaceAll('`', "'")}\``,
  );
  const parts = [
    `**${escaped(name)}**: ${escaped(question)} ${model === null ? '' : `${escaped(model)}, `}${loadText(load)}.`,
    deployments.length > 0 ? table.join('\n') : 'No deployment meets all conditions.',
    commands.join('\n'),
    `Usual advice: ${escaped(claim)}. ${holds ? 'It comes out here' : 'Not here'}: ${because.map(escaped).join('; ')}.`,
    scenario.others.map((other) => `- ${escaped(otherText(other))}`).join('\n'),
    '~ estimates',
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}
