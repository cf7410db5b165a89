// The answer for a person: verdict, budget of each GPU as a bar and a table, capacity, how to run it or what to try. 80
// columns, readable without colour. It formats a Plan and computes nothing.
import { gib, parameters, percent, smallGib, thousands, times } from '../numbers.ts';
import { wordsOf } from '../plan/flag-words.ts';
import type { PlanOutput } from '../plan/output.ts';
import {
  type BudgetItem,
  type DevicePlan,
  type ItemId,
  nothingLoaded,
  type OllamaDecision,
  type Plan,
} from '../plan/types.ts';
import { shellQuote } from '../shell.ts';
import { GiB } from '../units.ts';
import { barCells, glyphs } from './bar.ts';
import { capacityText, distinctDevices, engineText, itemNames, placeText, rankText, workloadText } from './devices.ts';
import { grid, matrixGrid } from './grid.ts';
import { besideLines, bufferTable, fitText, offloadLines, ollamaLines, slotsTable, speedLines } from './llama.ts';
import { type Paint, paintFor } from './paint.ts';
import { visible, wrap } from './text.ts';

export interface TableStyle {
  colour: boolean;
  columns: number;
}

/** More kinds of ranks than this are summed up in a table. */
const fullBlocks = 2;

export function planTable(output: PlanOutput, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const { result } = output;
  const width = Math.min(style.columns, 80);
  const parts = [
    heading(output, paint, width),
    verdictLines(output, paint, width),
    ...(nothingLoaded(result)
      ? []
      : [
          ...deviceParts(result.devices, paint, width),
          ...(result.buffers ? llamaParts(output, paint, width) : [capacityTable(output, paint)]),
          workloadLine(result, paint, width),
          result.buffers ? '' : speedLines(result, paint, width),
        ]),
    result.matrix ? matrixGrid(result.matrix, paint) : '',
    suggestionLines(result, paint, width),
    result.verdict.fits ? runLines(output, paint, width) : '',
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function llamaParts(output: PlanOutput, paint: Paint, width: number): string[] {
  const { result } = output;
  const fit = fitText(result);
  return [
    ollamaLines(result, paint, width),
    fit ? `${paint.bold('Fit')}\n${wrap(fit, width)}` : '',
    bufferTable(output, paint),
    besideLines(result, paint, width),
    slotsTable(result, paint),
    offloadLines(result, paint, width),
    speedLines(result, paint, width),
  ];
}

function heading({ input }: PlanOutput, paint: Paint, width: number): string {
  const { model } = input;
  const active = model.activeParameters < model.parameters ? ` (${parameters(model.activeParameters)} active)` : '';
  const title = `${visible(model.name)}, ${parameters(model.parameters)}${active}, ${visible(model.scheme)}`;
  const where = `on ${visible(placeText(input))} with ${engineText(input)}`;
  const id = model.hfId && model.hfId !== model.name ? paint.dim(wrap(visible(model.hfId), width)) : '';
  return [paint.bold(wrap(title, width)), wrap(where, width), id].filter(Boolean).join('\n');
}

function verdictLines({ input, result: plan }: PlanOutput, paint: Paint, width: number): string {
  const { verdict, workload } = plan;
  if (verdict.fits) {
    const short = workload?.fits === false ? `, but ${visible(verdict.reason ?? 'not the requirement')}` : '';
    const label = short ? paint.warn('STARTS') : paint.good('FITS');
    return `${label}  ${wrap(capacityText(plan) + short, width - 8, 2)}`;
  }
  const shortfall = verdict.shortfallBytes ? `; ${smallGib(verdict.shortfallBytes)} short` : '';
  const lines = [
    `${paint.bad('DOES NOT FIT')}  ${wrap(`${visible(verdict.reason ?? '')}${shortfall}`, width - 14, 2)}`,
  ];
  if (verdict.engineError)
    lines.push(paint.dim(wrap(`${input.engine.name} says: ${visible(verdict.engineError)}`, width - 2, 2)));
  return lines.join('\n');
}

/** Ranks with the same figures are shown once; of many kinds the tightest in full. */
function deviceParts(devices: readonly DevicePlan[], paint: Paint, width: number): string[] {
  const all = distinctDevices(devices);
  const groups = all.filter(({ device }) => device.gpu !== 'host');
  const block = ({ device, ranks }: (typeof all)[number]): string => deviceBlock(device, ranks, paint, width);
  const host = all.filter(({ device }) => device.gpu === 'host').map(block);
  if (groups.length <= fullBlocks) return [...groups.map(block), ...host];
  const tightest = groups.reduce((a, b) => (freeOf(b.device) < freeOf(a.device) ? b : a));
  const rows = groups.map(({ device, ranks }) => {
    const of = (id: ItemId): number => device.items.find((item) => item.id === id)?.bytes ?? 0;
    const rest = device.totalBytes - of('weights') - of('kv-cache') - of('free');
    return [rankText(ranks), ...[of('weights'), of('kv-cache'), rest, of('free')].map(inGib)];
  });
  const head = ['GPU', 'weights', 'KV cache', 'other', 'free (GiB)'];
  const align = ['left', 'right', 'right', 'right', 'right'] as const;
  return [block(tightest), `${paint.bold('All GPUs')}, the fullest above\n${grid(head, align, rows)}`, ...host];
}

function freeOf(device: DevicePlan): number {
  return device.items.find((item) => item.id === 'free')?.bytes ?? 0;
}

function deviceBlock(device: DevicePlan, ranks: readonly number[], paint: Paint, width: number): string {
  const host = device.gpu === 'host';
  const label = host ? 'Host' : ranks.length > 1 ? `GPU ${rankText(ranks)} (each)` : `GPU ${ranks[0]}`;
  const bar = barCells(device.items, device.totalBytes, width - 2)
    .map(({ id, cells }) => paint.item(id, glyphs[id].repeat(cells)))
    .join('');
  const items = device.items.filter((item) => item.bytes > 0 || item.id === 'free');
  const rows = items.map((item) => itemRow(item, device, paint));
  const table = grid(['', 'GiB', 'share', 'range', ''], ['left', 'right', 'right', 'left', 'left'], rows);
  const limit = host ? ' of memory' : `, of which the engine may use ${gib(device.budgetBytes)}`;
  const budget = `${paint.bold(label)}: ${gib(device.totalBytes)}${limit}`;
  return `${budget}\n ${bar}\n${table}`;
}

function itemRow(item: BudgetItem, device: DevicePlan, paint: Paint): string[] {
  const spread = item.highBytes - item.lowBytes > 0.005 * GiB;
  const range = spread ? `${inGib(item.lowBytes)} to ${inGib(item.highBytes)}` : '';
  const lacking = item.id === 'free' && item.bytes < 0;
  const name = lacking ? paint.bad('! lacking') : `${paint.item(item.id, glyphs[item.id])} ${itemNames[item.id]}`;
  return [
    name,
    inGib(item.bytes),
    percent(item.bytes / device.totalBytes),
    lacking ? '' : range,
    paint.dim(item.confidence),
  ];
}

function inGib(bytes: number): string {
  return (bytes / GiB).toFixed(2);
}

function capacityTable({ input, result: { kvCache } }: PlanOutput, paint: Paint): string {
  if (kvCache.groups.length === 0) return '';
  const rows = [
    ['size', gib(kvCache.bytes), `${thousands(kvCache.bytesPerToken)} bytes a token`],
    [
      'blocks',
      thousands(kvCache.numBlocks),
      `of ${kvCache.blockSize} tokens, ${thousands(kvCache.bytesPerBlock)} bytes`,
    ],
    ['tokens', thousands(kvCache.tokens), ''],
    ['sequences', times(kvCache.maxConcurrency), `of ${thousands(kvCache.maxModelLen)} tokens (max_model_len)`],
  ];
  const replicas = input.parallel.dp;
  if (replicas > 1) rows.push(['replicas', thousands(replicas), 'each with a cache like this (dp)']);
  if (kvCache.groups.length > 1) {
    for (const { kind, layers, blockSize, count } of kvCache.groups) {
      const groups = count > 1 ? `${count} groups of ${layers}` : `${layers}`;
      rows.push([paint.dim('layers'), groups, `${kind}, block ${thousands(blockSize)}`]);
    }
  }
  return `${paint.bold('KV cache')}\n${grid(['', '', ''], ['left', 'right', 'left'], rows).replace(/^\n/, '')}`;
}

function workloadLine(plan: Plan, paint: Paint, width: number): string {
  const text = workloadText(plan);
  if (!text) return '';
  const verdict = plan.workload?.fits ? paint.good('yes') : paint.bad('no');
  return `${paint.bold('Requirement')}  ${text.asked}: ${verdict}\n${wrap(text.inverses, width)}`;
}

function suggestionLines({ suggestions, verdict, workload }: Plan, paint: Paint, width: number): string {
  if (suggestions.length === 0) {
    if (verdict.fits ? workload?.fits !== false : !verdict.shortfallBytes) return '';
    return 'Nothing small helps: it needs another model, several GPUs or a larger one.';
  }
  const lines = suggestions.map(
    ({ change, effect }, i) =>
      `${i + 1}. ${wrap(visible(change), width - 3, 3)}\n   ${paint.dim(wrap(visible(effect), width - 3, 3))}`,
  );
  return `${paint.bold('Try')} (each one planned)\n${lines.join('\n')}`;
}

/** The command, ready to paste, and where more is to be had. */
function runLines({ input, result }: PlanOutput, paint: Paint, width: number): string {
  if (result.ollama) return ollamaRun(result.ollama, result.command, paint);
  const words = result.flags.map((flag) => wordsOf(flag).map(shellQuote).join(' '));
  const tail = words.length > 0 ? ` ${words.join(' ')}` : '';
  const start = result.command.endsWith(tail)
    ? result.command.slice(0, result.command.length - tail.length)
    : result.command;
  const pieces = [start, ...words];
  const lines: string[] = [];
  for (const piece of pieces) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + piece.length + 3 <= width) lines[lines.length - 1] = `${last} ${piece}`;
    else lines.push(lines.length > 0 ? `    ${piece}` : piece);
  }
  const forms =
    input.engine.id === 'vllm' ? 'vllm-yaml | docker | compose | kubernetes' : 'command | json | html | svg';
  const hint = `More: --explain, ${input.engine.id === 'vllm' ? '--matrix, ' : ''}--format ${forms}.`;
  return `${paint.bold('Run')}\n${visibleLines(lines.join(' \\\n'))}\n\n${paint.dim(wrap(hint, width))}`;
}

/** The environment of the service, the Modelfile, and the command that reads it. */
function ollamaRun({ environment, modelfile }: OllamaDecision, command: string, paint: Paint): string {
  const service =
    environment.length > 0 ? `${paint.dim('# environment of ollama serve')}\n${environment.join('\n')}\n` : '';
  const file = `${paint.dim('# Modelfile')}\n${modelfile.trimEnd()}\n`;
  return `${paint.bold('Run')}\n${visibleLines(`${service}${file}`)}${paint.dim('#')}\n${visibleLines(command)}`;
}

function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n');
}
