// The answer for a person: verdict, budget of each GPU as a bar and a table, capacity, flags, warnings. 80 columns, readable
// without colour. It formats a Plan and computes nothing.
import Table from 'cli-table3';
import { gib, parameters, percent, thousands, times } from '../numbers.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { BudgetItem, DevicePlan, ItemId, Plan } from '../plan/types.ts';
import { barCells, glyphs } from './bar.ts';
import { type Paint, paintFor } from './paint.ts';
import { visible, wrap } from './text.ts';

export interface TableStyle {
  colour: boolean;
  columns: number;
}

const names: Readonly<Record<ItemId, string>> = {
  weights: 'weights',
  'kv-cache': 'KV cache',
  lora: 'LoRA',
  activations: 'activations',
  graphs: 'CUDA graphs',
  'non-torch': 'non-torch',
  communication: 'communication',
  context: 'CUDA context',
  buffers: 'runner buffers',
  free: 'free',
};

export function planTable(output: PlanOutput, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const { result } = output;
  const width = Math.min(style.columns, 80);
  const parts = [
    heading(output, paint, width),
    verdictLines(result, paint, width),
    ...distinctDevices(result.devices).map(({ device, ranks }) => deviceBlock(device, ranks, paint, width)),
    capacityTable(result, paint),
    workloadLine(result, paint),
    suggestionLines(result, paint, width),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function heading({ input }: PlanOutput, paint: Paint, width: number): string {
  const { model, gpu, engine } = input;
  const active = model.activeParameters < model.parameters ? ` (${parameters(model.activeParameters)} active)` : '';
  const title = `${visible(model.name)}, ${parameters(model.parameters)}${active}, ${visible(model.scheme)}`;
  const count = gpu.count > 1 ? `${gpu.count} x ` : '';
  const where = `on ${count}${visible(gpu.name)} with ${engine.name} ${engine.version}`;
  const id = model.hfId ? paint.dim(visible(model.hfId)) : '';
  return [paint.bold(wrap(title, width)), wrap(where, width), id].filter(Boolean).join('\n');
}

function verdictLines({ verdict, kvCache }: Plan, paint: Paint, width: number): string {
  if (verdict.fits) {
    const capacity = `${thousands(kvCache.tokens)} tokens, ${times(kvCache.maxConcurrency)} sequences of ${thousands(kvCache.maxModelLen)}`;
    return `${paint.good('FITS')}  ${capacity}`;
  }
  const shortfall = verdict.shortfallBytes ? `, ${gib(verdict.shortfallBytes)} short` : '';
  const lines = [`${paint.bad('DOES NOT FIT')}  ${visible(verdict.reason ?? '')}${shortfall}`];
  if (verdict.engineError)
    lines.push(paint.dim(`the engine says: ${wrap(visible(verdict.engineError), width - 2, 2)}`));
  return lines.join('\n');
}

/** Ranks with the same figures are shown once. */
function distinctDevices(devices: readonly DevicePlan[]): { device: DevicePlan; ranks: number[] }[] {
  const groups: { device: DevicePlan; ranks: number[]; key: string }[] = [];
  for (const device of devices) {
    const key = JSON.stringify({ ...device, rank: 0 });
    const same = groups.find((group) => group.key === key);
    if (same) same.ranks.push(device.rank);
    else groups.push({ device, ranks: [device.rank], key });
  }
  return groups;
}

function deviceBlock(device: DevicePlan, ranks: readonly number[], paint: Paint, width: number): string {
  const label = ranks.length > 1 ? `GPU ${rankText(ranks)} (each)` : `GPU ${ranks[0]}`;
  const bar = barCells(device.items, device.totalBytes, width - 2)
    .map(({ id, cells }) => paint.item(id, glyphs[id].repeat(cells)))
    .join('');
  const table = plainTable(['', 'GiB', 'share', 'range', ''], ['left', 'right', 'right', 'left', 'left']);
  for (const item of device.items) if (item.bytes > 0 || item.id === 'free') table.push(itemRow(item, device, paint));
  const budget = `${label}: ${gib(device.totalBytes)}, of which the engine may use ${gib(device.budgetBytes)}`;
  return `${budget}\n ${bar}\n${table.toString()}`;
}

function itemRow(item: BudgetItem, device: DevicePlan, paint: Paint): string[] {
  const value = (item.bytes / 2 ** 30).toFixed(2);
  const spread = item.highBytes - item.lowBytes > 0.005 * 2 ** 30;
  const range = spread ? `${(item.lowBytes / 2 ** 30).toFixed(2)} to ${(item.highBytes / 2 ** 30).toFixed(2)}` : '';
  const name = `${paint.item(item.id, glyphs[item.id])} ${names[item.id]}`;
  return [name, value, percent(item.bytes / device.totalBytes), range, paint.dim(item.confidence)];
}

function capacityTable({ kvCache }: Plan, paint: Paint): string {
  const table = plainTable(['KV cache', '', ''], ['left', 'right', 'left']);
  table.push(['size', gib(kvCache.bytes), `${thousands(kvCache.bytesPerToken)} bytes a token`]);
  table.push([
    'blocks',
    thousands(kvCache.numBlocks),
    `of ${kvCache.blockSize} tokens, ${thousands(kvCache.bytesPerBlock)} bytes`,
  ]);
  table.push(['tokens', thousands(kvCache.tokens), '']);
  table.push([
    'sequences',
    times(kvCache.maxConcurrency),
    `of ${thousands(kvCache.maxModelLen)} tokens (max_model_len)`,
  ]);
  if (kvCache.groups.length > 1) {
    for (const group of kvCache.groups) {
      table.push([
        `  ${group.kind}`,
        `${group.count} x ${group.layers}`,
        paint.dim(`layers a group, block ${group.blockSize}`),
      ]);
    }
  }
  return table.toString();
}

function workloadLine({ workload }: Plan, paint: Paint): string {
  if (!workload) return '';
  const verdict = workload.fits ? paint.good('yes') : paint.bad('no');
  return [
    `${workload.concurrency} sequences of ${thousands(workload.context)} tokens at once: ${verdict}`,
    `  at that length ${thousands(workload.maxConcurrencyAtContext)} sequences fit; that many sequences may be ${thousands(workload.maxContextAtConcurrency)} tokens long`,
  ].join('\n');
}

function suggestionLines({ suggestions }: Plan, paint: Paint, width: number): string {
  if (suggestions.length === 0) return '';
  const lines = suggestions.map(({ change, effect }, i) =>
    wrap(`${i + 1}. ${visible(change)}: ${visible(effect)}`, width - 2, 5),
  );
  return `${paint.bold('Try')} (each one planned)\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

function rankText(ranks: readonly number[]): string {
  const contiguous = ranks.every((rank, i) => i === 0 || rank === ranks[i - 1]! + 1);
  return contiguous ? `${ranks[0]}-${ranks.at(-1)}` : ranks.join(',');
}

/** A table without lines or colour of its own. */
export function plainTable(head: readonly string[], align: readonly ('left' | 'right')[]): Table.Table {
  const none = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: '  ',
  };
  return new Table({
    head: [...head],
    colAligns: [...align],
    chars: none,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
}
