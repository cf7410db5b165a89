// `vram plan --pool FILE --allocator` as a user runs it.
import { describe, expect, it } from 'vitest';
import type { PoolOutput } from '../../src/plan/sharing/output.ts';
import { poolOutputSchema } from '../../src/plan/sharing/schema.ts';
import { GiB } from '../../src/units.ts';
import { expectCalm, expectRefused, put, vram } from './run.ts';

const example = 'examples/shared-gpu.yaml';
const root = new URL('../../', import.meta.url).pathname;

describe('plan --pool --allocator', () => {
  it('adds what each allocator makes of the example, and nothing without the option', async () => {
    const ran = await vram(['plan', '--pool', example, '--allocator', '--json'], { cwd: root });
    expectCalm(ran);
    const output = JSON.parse(ran.out) as PoolOutput;
    expect(poolOutputSchema.safeParse(output).error?.issues).toBeUndefined();
    const { result } = output;
    const [caching, expandable, manual] = result.allocator![0]!.allocators;
    // The same sum of bytes is live in all three, up to what blocks are rounded by.
    expect(Math.abs(caching!.peakAllocatedBytes - manual!.peakAllocatedBytes)).toBeLessThan(0.1 * GiB);
    expect(expandable!.peakReservedBytes).toBeLessThan(caching!.peakReservedBytes);
    expect(manual!.calls.deviceAllocations).toBe(1);
    const without = await vram(['plan', '--pool', example, '--json'], { cwd: root });
    const { allocator: _, ...rest } = result;
    expect((JSON.parse(without.out) as PoolOutput).result).toEqual(rest);
  });

  it('prints a section of at most 80 columns, in Markdown a block', async () => {
    const table = await vram(['plan', '--pool', example, '--allocator'], { cwd: root });
    const section = table.out.slice(table.out.indexOf('\nAllocators'));
    expect(section).toMatch(/^own buffer .* 100 %$/m);
    expect(Math.max(...section.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    const markdown = await vram(['plan', '--pool', example, '--allocator', '--format', 'markdown'], { cwd: root });
    expect(markdown.out).toContain('## Allocators\n\n```\n');
  });

  it('is refused without a pool, and has nothing to say of one model', async () => {
    expectRefused(await vram(['plan', '-m', 'llama-3.1-8b', '-g', 'l40s', '--allocator']), 2, ['VRAM742', '--pool']);
    const alone = put(
      'alone.yaml',
      'name: alone\ngpu: l40s\npolicy: static\nmodels:\n  - { id: one, model: llama-3.1-8b }\n',
    );
    const ran = await vram(['plan', '--pool', alone, '--allocator', '--json']);
    const { result, diagnostics } = JSON.parse(ran.out) as PoolOutput;
    expect(result.allocator).toEqual([]);
    expect(diagnostics.map(({ code }) => code)).toContain('VRAM743');
  });
});
