// The allocator view for a person: what each allocator of GPU memory makes of models that come and go, and what expandable segments
// save. At most 80 columns, readable without colour; it computes nothing.
import { gib, mib, smallGib, thousands } from '../numbers.ts';
import type { AllocatorGpu, AllocatorResult } from '../plan/sharing/allocator-pool.ts';
import { GiB } from '../units.ts';
import { grid } from './grid.ts';
import { type Paint, paintFor } from './paint.ts';
import { nameText, prose } from './shared-text.ts';
import type { TableStyle } from './table.ts';
import { wrap } from './text.ts';

const names: Record<AllocatorResult['kind'], string> = {
  caching: 'caching',
  expandable: 'expandable',
  manual: 'own buffer',
};

/** One section a GPU, each after an empty line; empty where no GPU is shared. */
export function allocatorSections(gpus: readonly AllocatorGpu[], style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  return gpus.map((gpu) => section(gpu, { paint, width, numbered: gpus.length > 1 })).join('');
}

/** The same as a block under a heading. */
export function allocatorMarkdown(gpus: readonly AllocatorGpu[]): string {
  const text = allocatorSections(gpus, { colour: false, columns: 80 }).trim();
  return text ? `\n## Allocators\n\n\`\`\`\n${text.replaceAll('`', "'")}\n\`\`\`\n` : '';
}

interface Look {
  paint: Paint;
  width: number;
  numbered: boolean;
}

function section(of: AllocatorGpu, { paint, width, numbered }: Look): string {
  const title = `Allocators, one process that loads and unloads models${numbered ? ` on GPU ${of.gpu}` : ''}`;
  const lines = [
    paint.bold(wrap(title, width)),
    prose(setting(of), width),
    table(of),
    ...failures(of).map((line) => `${paint.bad('REFUSED')}  ${prose(line, width - 9, 2)}`),
    prose(verdict(of), width),
    paint.dim(wrap(meaning, width)),
  ];
  return `\n${lines.join('\n')}\n`;
}

function setting({ models, maxLoaded, loads, share, deviceBytes }: AllocatorGpu): string {
  const caches = models.map(({ kvBytes }) => kvBytes);
  return (
    `${maxLoaded} of ${models.length} models in memory at once, each with ${gib(Math.min(...caches))} of KV cache: ` +
    `up to ${whole(share)} of ${gib(deviceBytes)}; ${loads} loads in another order each round`
  );
}

function table({ allocators }: AllocatorGpu): string {
  const head = [
    '',
    'used at\npeak GiB',
    'reserved\nGiB',
    'unused\nthen',
    'scattered\nat most',
    'refused',
    'device\ncalls',
    'fills\nup to',
  ];
  const rows = allocators.map(({ kind, calls, usable, ...figures }) => [
    names[kind],
    inGib(figures.peakAllocatedBytes),
    inGib(figures.peakReservedBytes),
    inGib(figures.cachedAtPeakBytes),
    inGib(figures.mostScatteredBytes),
    thousands(figures.failures.length),
    thousands(calls.deviceAllocations + calls.deviceFrees),
    usable ? whole(usable.share) : '< 70 %',
  ]);
  return grid(
    head,
    head.map((_, i) => (i === 0 ? 'left' : 'right')),
    rows,
  );
}

/** The first refusal of each allocator: with how much free. */
function failures({ allocators }: AllocatorGpu): string[] {
  return allocators.flatMap(({ kind, failures: [first] }) =>
    first
      ? [
          `${names[kind]}: ${nameText(first.model)} wanted ${smallGib(first.wantedBytes)} more, ${gib(first.freeBytes)} were free` +
            `${first.fragmented ? `, but no ${mib(first.bytes)} in one piece` : ''}`,
        ]
      : [],
  );
}

function verdict({
  expandableSaves: { peakReservedBytes, failures: refusals, kvBytes },
  allocators,
}: AllocatorGpu): string {
  const parts = [`${smallGib(Math.max(0, peakReservedBytes))} of reserved memory`];
  if (refusals > 0) parts.push(`${thousands(refusals)} ${refusals === 1 ? 'refusal' : 'refusals'}`);
  if (kvBytes !== null && kvBytes > 0) parts.push(`room for ${gib(kvBytes)} more KV cache a model`);
  const moved = allocators.find(({ kind }) => kind === 'manual')?.calls.movedBytes ?? 0;
  return `expandable_segments:True saves ${parts.join(', ')}. A buffer of one's own asks the device once and moves ${gib(moved)} to close its gaps.`;
}

const meaning =
  'unused then: reserved, but in no tensor, as the most was used; scattered: free, but not in one piece; device calls: cudaMalloc and ' +
  'cudaFree, or maps and unmaps; fills: share of the GPU up to which no load is refused. Weights are exact, steps estimated; order of ' +
  'loads made up.';

function inGib(bytes: number): string {
  return (bytes / GiB).toFixed(2);
}

function whole(share: number): string {
  return `${Math.round(share * 100)} %`;
}
