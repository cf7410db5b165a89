// The block allocator alone, on the recipe of a Llama-3.1-8B layer that was read off a traced graph of v0.5.0.
import { describe, expect, it } from 'vitest';
import { BlockAllocator } from '../../../../src/engines/llamacpp/graph/allocator.ts';

describe('BlockAllocator', () => {
  it('takes the front of the smallest block that is large enough, of equal ones the later', () => {
    const a = new BlockAllocator(128);
    const blocks = [256, 128, 256, 128, 384, 128].map((n) => [a.take(n), n] as const);
    for (const i of [0, 2, 4]) a.giveBack(...blocks[i]!);
    expect(a.take(200)).toBe(384);
    expect(a.take(300)).toBe(768);
    expect(a.take(512)).toBe(1280);
    expect(a.size).toBe(1792);
  });

  it('joins what is given back with free neighbours on both sides', () => {
    const a = new BlockAllocator(32);
    const [first, second, third] = [a.take(64), a.take(64), a.take(64)];
    a.take(32);
    a.giveBack(first, 64);
    a.giveBack(third, 64);
    a.giveBack(second, 64);
    expect(a.take(192)).toBe(0);
  });

  it('rounds every size up to the alignment', () => {
    const a = new BlockAllocator(128);
    expect([a.take(1), a.take(129), a.take(128)]).toEqual([0, 128, 384]);
  });

  it('replays the layer of Llama-3.1-8B that needs 116.01 MiB', () => {
    const [D, FF, t, kv, heads, kvHeads, HD] = [4096, 14336, 512, 8192, 32, 8, 128];
    const inputs = [4 * D * t, 4 * t, 8 * t, 8 * t, 2 * kv * t, 4];
    const a = new BlockAllocator(128);
    const held = new Map<string, [number, number]>();
    const take = (name: string, bytes: number) => held.set(name, [a.take(bytes), bytes]);
    const give = (name: string) => a.giveBack(...held.get(name)!);
    for (const [i, bytes] of inputs.entries()) take(`i${i}`, bytes);
    const sizes: Record<string, number> = {
      0: 4 * D * t,
      1: 4 * heads * HD * t,
      2: 4 * heads * HD * t,
      3: 4 * kvHeads * HD * t,
      4: 4 * kvHeads * HD * t,
      5: 4 * kvHeads * HD * t,
      6: 4 * heads * HD * t,
      7: 4 * D * t,
      8: 4 * D * t,
      9: 4 * FF * t,
      10: 4 * FF * t,
      11: 4 * FF * t,
      12: 4 * D * t,
    };
    const layer = '+0 +1 +2 -1 +3 +4 -0 +5 -4 -5 -3 +6 -2 +7 -6 -i0 +8 +9 +10 -8 +11 -9 -10 +12 -11 -7';
    for (const step of layer.split(' ')) {
      const name = step.slice(1);
      if (step[0] === '+') take(name, sizes[name]!);
      else give(name);
    }
    expect(a.size).toBe(121645184);
  });
});
