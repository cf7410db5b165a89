// What sits where, for a person: ranks and devices that hold the same amounts share one line.
import { smallGib, thousands } from '../numbers.ts';
import type { DevicePlacement, PlacementPlan, RankPlacement, RoleBytes, Share } from '../plan/placement/types.ts';
import { rankText } from './devices.ts';
import { paintFor } from './paint.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

export function placementText({ ranks, devices }: PlacementPlan, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const title = paint.bold('Placement');
  if (ranks)
    return `${title}\n${alike(ranks)
      .map((same) => rankLines(same, width))
      .join('\n')}\n`;
  return `${title}\n${(devices ?? []).map((device) => deviceLines(device, width)).join('\n')}\n`;
}

/** Ranks of one stage that hold as much of everything. */
function alike(ranks: readonly RankPlacement[]): RankPlacement[][] {
  const groups = new Map<string, RankPlacement[]>();
  for (const rank of ranks) {
    const { gpu, stage, heads, kvHeads, experts, bytes } = rank;
    const key = JSON.stringify([gpu, stage, heads?.count, kvHeads?.count, experts?.count, bytes]);
    groups.set(key, [...(groups.get(key) ?? []), rank]);
  }
  return [...groups.values()];
}

function rankLines(same: readonly RankPlacement[], width: number): string {
  const [rank] = same as readonly [RankPlacement, ...RankPlacement[]];
  const { layers, heads, kvHeads, contextShare, vocabulary, experts, bytes, tensorBytes } = rank;
  const ends = [vocabulary?.embedding ? 'embedding' : '', vocabulary?.head ? 'LM head' : ''].filter(Boolean);
  const what = [`layers ${layers.first}-${layers.first + layers.count - 1} of ${layers.of}`, ...ends].join(', ');
  const label = `GPU ${rankText(same.map((entry) => entry.rank))}${same.length > 1 ? ' (each)' : ''}`;
  const copies = kvHeads && kvHeads.copies > 1 ? `, ${kvHeads.copies} ranks with the same` : '';
  const shares = [
    heads ? shareText(heads, 'heads') : '',
    kvHeads ? shareText(kvHeads, 'KV heads') + copies : '',
    contextShare ? `1/${contextShare.of} of every sequence` : '',
    vocabulary ? shareText(vocabulary, 'vocabulary rows') : '',
    experts ? expertsText(experts) : '',
  ].filter(Boolean);
  return [
    `${label}  ${wrap(what, width - label.length - 2, 2)}`,
    `  ${wrap(shares.join('; '), width - 2, 2)}`,
    `  ${wrap(bytesText(bytes, tensorBytes), width - 2, 2)}`,
  ].join('\n');
}

function shareText({ count, of }: Share, words: string): string {
  return count >= of ? `all ${thousands(of)} ${words}` : `${thousands(count)} of ${thousands(of)} ${words}`;
}

function expertsText({ count, of, cut }: NonNullable<RankPlacement['experts']>): string {
  return cut > 1 ? `1/${cut} of each of ${of} experts` : shareText({ first: 0, count, of }, 'experts');
}

function deviceLines(device: DevicePlacement, width: number): string {
  const { blocks, output, overrides, bytes, tensorBytes, tensors } = device;
  const label = device.device === 'host' ? 'Host' : `GPU ${device.device.slice(3)}`;
  const what = [
    blocks.length > 0 ? `blocks ${rangesText(blocks)}` : 'no whole block',
    output ? 'output layer' : '',
    `${thousands(tensors)} tensors`,
  ].filter(Boolean);
  const lines = [
    `${label}  ${wrap(what.join(', '), width - label.length - 2, 2)}`,
    `  ${wrap(bytesText(bytes, tensorBytes), width - 2, 2)}`,
  ];
  const byBlocks = new Map<string, string[]>();
  for (const { tensors: name, blocks: own } of overrides) {
    const key = rangesText(own);
    byBlocks.set(key, [...(byBlocks.get(key) ?? []), visible(name.replace(/\.(?:weight|bias)$/, ''))]);
  }
  for (const [own, names] of byBlocks) lines.push(`  ${wrap(`of blocks ${own}: ${names.join(', ')}`, width - 2, 2)}`);
  return lines.join('\n');
}

function rangesText(blocks: readonly (readonly [number, number])[]): string {
  return blocks.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');
}

const roleWords: Readonly<Record<string, string>> = { mlp: 'MLP', head: 'LM head' };

function bytesText(bytes: RoleBytes, total: number): string {
  const parts = Object.entries(bytes)
    .filter(([, value]) => value > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([role, value]) => `${roleWords[role] ?? role} ${smallGib(value)}`);
  return `${smallGib(total)}: ${parts.join(', ')}`;
}
