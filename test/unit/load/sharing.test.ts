// The policies of presets/sharing/ and what their figures can be held to: kvcached's own measurements (ovg-project/kvcached at e8e6406,
// benchmarks/), bytes of a page id counted from the models' published shapes, and what is said where a name or a parameter is wrong.
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { run as completion } from '../../../src/commands/completion.ts';
import { run as list } from '../../../src/commands/list.ts';
import { run as schema } from '../../../src/commands/schema.ts';
import { run as show } from '../../../src/commands/show.ts';
import { loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { findSharing, resolveSharing } from '../../../src/load/sharing.ts';
import type { ExpandSharing, KvcachedSharing, MapCost, MuxserveSharing } from '../../../src/spec/sharing.ts';
import { GiB, KiB, MiB } from '../../../src/units.ts';
import { inProcess } from '../../ground-truth/in-process.ts';

const kvcached = findSharing('kvcached') as KvcachedSharing;

/** Milliseconds for page ids of so many pages. */
const cost = ({ perPageId, perPage }: MapCost, pageIds: number, pages: number) =>
  1000 * pageIds * (perPageId + perPage * pages);

describe('sharing policies', () => {
  it('ship whole, those that move memory after those that do not, the bound last', () => {
    const ids = loadPresets('sharing').map(({ id }) => id);
    const files = readdirSync('presets/sharing').map((file) => file.replace('.yaml', ''));
    expect([...ids].sort()).toEqual(files.sort());
    expect(ids).toEqual(['static', 'static-load', 'static-weights', 'expand', 'kvcached', 'muxserve', 'oracle']);
    for (const { sources, summary } of loadPresets('sharing')) {
      expect(sources.length).toBeGreaterThan(0);
      expect(summary.length).toBeLessThan(160);
    }
  });

  it('say which of them nobody runs', () => {
    const runs = loadPresets('sharing').filter((policy) => !policy.runs);
    expect(runs.map(({ id }) => id)).toEqual(['expand', 'oracle']);
  });
});

describe('kvcached as published', () => {
  const { layers, kvHeads, headDim } = loadPreset('models', 'qwen3-4b').config;
  const pageId = kvcached.pageBytes * 2 * layers!;
  const blockBytes = 16 * kvHeads! * headDim! * 2;

  it('a page id of 36 layers is 144 MiB, and 64 blocks of Qwen3-4B lie in it', () => {
    expect(layers).toBe(36);
    expect(pageId).toBe(144 * MiB);
    expect(blockBytes).toBe(32 * KiB);
    expect(Math.floor(kvcached.pageBytes / blockBytes)).toBe(64);
  });

  it('cached tokens at most are the packed floor of an idle engine: 16 page ids, 2.25 GiB', () => {
    const blocks = Math.floor(kvcached.maxCachedTokens! / 16);
    const pageIds = Math.ceil(blocks / Math.floor(kvcached.pageBytes / blockBytes));
    expect({ blocks, pageIds, gib: (pageIds * pageId) / GiB }).toEqual({ blocks: 1000, pageIds: 16, gib: 2.25 });
    // What was measured is whole page ids too (bench_idle_footprint): pages, GB as printed.
    for (const [pages, printed] of [
      [73, '10.27'],
      [75, '10.55'],
      [37, '5.20'],
      [38, '5.34'],
      [22, '3.09'],
    ] as const) {
      expect(((pages * pageId) / GiB).toFixed(2)).toBe(printed);
    }
  });

  it('mapping 25 and 100 page ids of 32 layers takes what an L40S took, within its scatter', () => {
    expect(cost(kvcached.mapSeconds, 25, 64)).toBeGreaterThan(3.977);
    expect(cost(kvcached.mapSeconds, 25, 64)).toBeLessThan(18.132);
    expect(Math.abs(cost(kvcached.mapSeconds, 25, 64) / 14.249 - 1)).toBeLessThan(0.1);
    expect(Math.abs(cost(kvcached.mapSeconds, 100, 64) / 52.083 - 1)).toBeLessThan(0.01);
  });

  it('a page id of one page takes what pages took that were mapped one by one', () => {
    expect(Math.abs(cost(kvcached.mapSeconds, 6400, 1) / 1055.82 - 1)).toBeLessThan(0.01);
    expect(Math.abs(cost(kvcached.mapSeconds, 1600, 1) / 261.651 - 1)).toBeLessThan(0.01);
  });

  it('is of the order of the calls that an A100 needs for a page', () => {
    // Unmap the zero page, create, map, set access; the way back: unmap, map the zero page, set access (the release is not measured).
    const [create, map, setAccess, unmap] = [0.19332, 0.00145, 0.03599, 0.02563];
    const there = cost(kvcached.mapSeconds, 1, 1) / (unmap + create + map + setAccess);
    const back = cost(kvcached.unmapSeconds, 1, 1) / (unmap + map + setAccess);
    expect(there).toBeGreaterThan(0.5);
    expect(there).toBeLessThan(2);
    expect(back).toBeGreaterThan(1);
    expect(back).toBeLessThan(4);
  });

  it('unmapping is to mapping as over the three ways to reach four GPUs', () => {
    const measured = [1.59 / 2.1, 2.05 / 2.57, 2.43 / 3.15];
    const ratio = cost(kvcached.unmapSeconds, 1, 64) / cost(kvcached.mapSeconds, 1, 64);
    expect(ratio).toBeGreaterThan(Math.min(...measured));
    expect(ratio).toBeLessThan(Math.max(...measured));
  });

  it('is what expand maps with', () => {
    const expand = findSharing('expand') as ExpandSharing;
    expect(expand).toMatchObject({ pageBytes: kvcached.pageBytes, mapSeconds: kvcached.mapSeconds });
  });
});

describe('names and parameters', () => {
  it('finds a policy as people write it', () => {
    expect(findSharing(' KVCached ').id).toBe('kvcached');
    expect(findSharing('static_weights').id).toBe('static-weights');
  });

  it('answers a wrong name with the nearest', () => {
    expect(() => findSharing('kvcache', 'pool.yaml: policy')).toThrow(
      expect.objectContaining({
        diagnostics: [
          expect.objectContaining({
            code: 'VRAM740',
            message: 'there is no sharing policy "kvcache"',
            hint: expect.stringContaining('did you mean kvcached?'),
            path: 'pool.yaml: policy',
          }),
        ],
      }),
    );
    expect(() => findSharing('round-robin\u001b[31m')).toThrow(/"round-robin\\+u001b\[31m"/);
  });

  it('takes other parameters, nested ones with a dot, and leaves the preset as it is', async () => {
    const policy = await resolveSharing('kvcached', {
      pageBytes: 4 * MiB,
      maxCachedTokens: null,
      'mapSeconds.perPage': 0.000165,
      allocation: 'last-touched',
    });
    expect(policy).toMatchObject({
      pageBytes: 4 * MiB,
      maxCachedTokens: null,
      mapSeconds: { perPageId: kvcached.mapSeconds.perPageId, perPage: 0.000165 },
      allocation: 'last-touched',
      maxReservedPages: 10,
    });
    expect(findSharing('kvcached')).toMatchObject({ pageBytes: 2 * MiB, maxCachedTokens: 16000 });
    expect(await resolveSharing('muxserve')).toBe(findSharing('muxserve'));
    expect(((await resolveSharing('expand', { ratio: 0 })) as ExpandSharing).ratio).toBe(0);
    expect(((await resolveSharing('muxserve', { periodSeconds: 1 })) as MuxserveSharing).periodSeconds).toBe(1);
  });

  it.each([
    ['kvcached', { pageByte: 1 }, /kvcached has no parameter "pageByte"/],
    ['kvcached', { pageBytes: 3 * MiB }, /kvcached: pageBytes: must be a multiple of 2 MiB/],
    ['kvcached', { minReservedPages: 11 }, /kvcached: minReservedPages: must not exceed maxReservedPages/],
    ['kvcached', { allocation: 'worst-fit' }, /kvcached: allocation: /],
    ['kvcached', { mapSeconds: 1 }, /kvcached has no parameter "mapSeconds"/],
    ['oracle', { ratio: 0.1 }, /oracle has no parameter "ratio"/],
    ['expand', { ratio: -1 }, /expand: ratio: /],
    ['static', { id: 'mine' }, /static has no parameter "id"/],
  ])('refuses %s with %j', async (id, overrides, message) => {
    await expect(resolveSharing(id, overrides)).rejects.toThrow(message);
  });
});

describe('on the command line', () => {
  it('lists, shows, completes, and has a schema', async () => {
    const listed = await inProcess(list, ['sharing']);
    expect(listed.out).toMatch(/^policy .*runs .*what it does/);
    expect(listed.out).toMatch(/^kvcached +yes +pages are mapped/m);
    expect(Math.max(...listed.out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    const json = JSON.parse((await inProcess(list, ['sharing', '--json'])).out);
    expect(json.result.sharing.map(({ id }: { id: string }) => id)).toContain('oracle');
    expect((await inProcess(show, ['sharing', 'kvcached'])).out).toMatch(/^maxCachedTokens: 16000$/m);
    expect((await inProcess(completion, ['--names', 'sharing'])).out.split('\n')).toContain('muxserve');
    const described = JSON.parse((await inProcess(schema, ['sharing'])).out);
    expect(JSON.stringify(described)).toContain('takesAbove');
  });
});
