// Buffers of the engine's own all-reduce and of torch's symmetric memory, as the releases' sources size them
// (vllm/distributed/device_communicators/{all_reduce_utils,custom_all_reduce,symm_mem}.py), and who has none: more than two cards
// without NVLink between all of them, GeForce cards, groups of other sizes.
import { describe, expect, it } from 'vitest';
import { allReduceParts } from '../../../src/engines/vllm/memory/all-reduce.ts';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { loadPreset } from '../../../src/load/presets.ts';
import { MiB } from '../../../src/units.ts';

function parts(gpu: string, tensorParallelSize: number, version: string, env?: Record<string, string>): string {
  const found = allReduceParts({
    gpu: loadPreset('gpus', gpu),
    profile: resolveEngineRef(`vllm@${version}`).profile,
    options: { tensorParallelSize, ...(env ? { env } : {}) },
  } as never);
  return found.map(({ name, bytes }) => `${name} ${bytes / MiB}`).join(', ');
}

describe('all-reduce buffers', () => {
  // custom: scratch of the largest message and its signals in pages of 2 MiB, a buffer, 20 MiB for an 8 MiB tensor of pointers.
  it.each([
    ['h100-sxm', 1, '0.33.0', ''],
    ['h100-sxm', 2, '0.9.2', 'custom all-reduce 38'],
    ['h100-sxm', 2, '0.10.2', 'custom all-reduce 38'],
    ['h100-sxm', 2, '0.19.0', 'symmetric memory 64, custom all-reduce 38'],
    ['h100-sxm', 8, '0.19.0', 'symmetric memory 64, custom all-reduce 24'],
    ['h100-sxm', 8, '0.33.0', 'symmetric memory 64, custom all-reduce 38, multicast staging 96'],
    ['b200', 8, '0.19.0', 'symmetric memory 128, custom all-reduce 24'],
    ['b300', 4, '0.18.1', 'custom all-reduce 38'],
    ['b300', 4, '0.19.1', 'symmetric memory 32, custom all-reduce 30'],
    ['a100-80gb-sxm', 8, '0.19.0', 'custom all-reduce 38'],
    ['h100-sxm', 3, '0.19.0', ''],
    ['l40s', 2, '0.19.0', 'custom all-reduce 38'],
    ['l40s', 4, '0.19.0', ''],
    ['rtx4090', 2, '0.19.0', ''],
    ['rtx3090', 2, '0.19.0', 'custom all-reduce 38'],
    ['rtx3090', 4, '0.19.0', ''],
    ['h100-pcie', 4, '0.19.0', 'symmetric memory 32'],
    ['mi300x', 8, '0.19.0', ''],
  ])('%s, tp %i, %s: %s', (gpu, tp, version, expected) => {
    expect(parts(gpu, tp, version)).toBe(expected);
  });

  it('follow VLLM_ALLREDUCE_USE_SYMM_MEM', () => {
    expect(parts('h100-sxm', 2, '0.19.0', { VLLM_ALLREDUCE_USE_SYMM_MEM: '0' })).toBe('custom all-reduce 38');
    expect(parts('h100-sxm', 8, '0.10.2', { VLLM_ALLREDUCE_USE_SYMM_MEM: '1' })).toBe(
      'symmetric memory 64, custom all-reduce 24',
    );
  });
});
