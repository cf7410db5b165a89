// The model of the CUDA caching allocator against what PyTorch's own library answered: every address, statistic and snapshot.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type AllocatorKind, createAllocator, type GpuAllocator } from '../../../src/sim/cuda-allocator/index.ts';

interface Case {
  case: string;
  kind: AllocatorKind;
  deviceBytes: number;
  maxSplitBytes?: number;
  steps: [operation: string, answer: string][];
}

const cases = readCases('test/fixtures/cuda-allocator/pytorch-2.10.0.jsonl');

describe('PyTorch 2.10.0', () => {
  it.each(cases.map((one) => [one.kind, one.case, one] as const))('%s: %s', (_kind, _name, one) => {
    const allocator = createAllocator(one.kind, one);
    const handles = new Map<string, number>();
    expect(one.steps.map(([operation]) => answer(allocator, handles, operation))).toEqual(
      one.steps.map(([, expected]) => expected),
    );
  });

  it('is asked until it refuses', () => {
    const answers = cases.flatMap(({ steps }) => steps.map(([, expected]) => expected));
    expect(answers.length).toBeGreaterThan(1000);
    expect(answers.filter((expected) => expected.startsWith('oom')).length).toBeGreaterThan(20);
  });
});

function answer(allocator: GpuAllocator, handles: Map<string, number>, operation: string): string {
  const [verb, id = '', bytes] = operation.split(' ');
  if (verb === 's') return JSON.stringify(snapshot(allocator));
  let first = '-';
  if (verb === 'e') allocator.emptyCache();
  else if (verb === 'a') {
    const handle = allocator.allocate(Number(bytes));
    if (handle === 'out-of-memory') first = 'oom';
    else {
      handles.set(id, handle);
      first = String(allocator.addressOf(handle));
    }
  } else {
    const handle = handles.get(id);
    if (handle !== undefined) allocator.free(handle);
    handles.delete(id);
  }
  return `${first} ${figures(allocator).join(' ')}`;
}

function figures(allocator: GpuAllocator): number[] {
  const now = allocator.statistics();
  return [
    now.allocatedBytes,
    now.reservedBytes,
    now.requestedBytes,
    now.inactiveSplitBytes,
    now.inactiveSplits,
    now.segments,
    now.deviceAllocations,
    now.deviceFrees,
    now.retries,
    now.outOfMemory,
    now.peakAllocatedBytes,
  ];
}

function snapshot(allocator: GpuAllocator): unknown[] {
  return allocator
    .snapshot()
    .map(({ address, bytes, pool, blocks }) => [
      address,
      bytes,
      pool === 'large' ? 1 : 0,
      blocks.map((block) => (block.allocated ? block.bytes : -block.bytes)),
    ]);
}

function readCases(path: string): Case[] {
  const [, ...lines] = readFileSync(path, 'utf8').trim().split('\n');
  const found: Case[] = [];
  for (const line of lines) {
    const entry = JSON.parse(line);
    if (Array.isArray(entry)) found.at(-1)!.steps.push(entry as [string, string]);
    else found.push({ ...entry, steps: [] });
  }
  return found;
}
