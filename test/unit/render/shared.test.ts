// What is printed about models that share GPUs, from results made by hand: widths, escapes, what each form carries, and that nothing
// falls over where nothing ran.
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderShared, renderSharedTimeline } from '../../../src/commands/simulate-pool-render.ts';
import { simulateForms } from '../../../src/commands/simulate-render.ts';
import { sharedSvg } from '../../../src/render/shared-chart.ts';
import { sharedCsv } from '../../../src/render/shared-flat.ts';
import { sharedHtml } from '../../../src/render/shared-html.ts';
import { sharedTable } from '../../../src/render/shared-table.ts';
import { policyIds, shared } from './shared-fixture.ts';

const style = { colour: false, columns: 80 };
const tooWide = (text: string): string[] => text.split('\n').filter((line) => [...line].length > 80);
const many = Array.from({ length: 27 }, (_, i) => `model-${i}`);
const hostile = '\u001b]0;<img src=x onerror=1>\u0007\u202e"|`]]>&=cmd';

describe('the table', () => {
  it('holds 80 columns whatever the names are, and leaves no space at the end of a line', () => {
    const name = fc.string({ minLength: 1, maxLength: 90, unit: 'grapheme-ascii' });
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 9 }), fc.boolean(), (models, onDemand) => {
        const text = sharedTable(shared({ models, onDemand, points: 20 }), style);
        expect(tooWide(text)).toEqual([]);
        expect(text).not.toMatch(/[ \t]+$/m);
      }),
      { numRuns: 20 },
    );
  });

  it('names every policy and every model in full where they are of usual length', () => {
    for (const onDemand of [false, true]) {
      const text = sharedTable(shared({ models: ['chat', 'summarization'], onDemand }), style);
      for (const policy of policyIds)
        expect(text.match(new RegExp(`^${policy} {2,}\\d`, 'gm'))).toHaveLength(onDemand ? 3 : 2);
      expect(text.match(/^summarization {2,}\d/gm)).toHaveLength(onDemand ? 2 : 1);
    }
  });

  it('says which policy to take, and which ones no engine runs', () => {
    const text = sharedTable(shared(), style);
    expect(text).toContain('TAKE  kvcached: TTFT p99 is 2.10 s under kvcached and 31.5 s under static');
    expect(text).toContain('No engine runs expand, oracle');
  });

  it('reads the same without colour', () => {
    const coloured = sharedTable(shared(), { ...style, colour: true });
    expect(coloured).toContain('\u001b[');
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(sharedTable(shared(), style));
  });

  it('gives up columns before names in a narrow terminal', () => {
    const text = sharedTable(shared(), { colour: false, columns: 72 });
    expect(text).not.toMatch(/\bfor\s+p50/);
    expect(text).toContain('static-weights');
    const narrow = sharedTable(shared(), { colour: false, columns: 60 });
    expect(narrow.split('\n').filter((line) => line.length > 60)).toEqual([]);
  });

  it('has a line of time for the largest of many models', () => {
    const text = sharedTable(shared({ models: many }), style);
    expect(text.match(/^ model-\d+ .* peak /gm)).toHaveLength(12);
    expect(text).toContain('15 more hold');
    expect(tooWide(text)).toEqual([]);
  });

  it('shows loads only where there are any', () => {
    expect(sharedTable(shared(), style)).not.toContain('Weights on demand');
    expect(sharedTable(shared({ onDemand: true }), style)).toContain('Weights on demand');
  });
});

describe('policies with several loading behaviours', () => {
  const loadings = ['aegaeon', 'llama-swap', 'vllm-sleep'];

  it('are named by both, in full, in every form', async () => {
    const output = shared({ policies: ['static-weights', 'kvcached'], loadings, onDemand: true });
    const text = sharedTable(output, style);
    expect(tooWide(text)).toEqual([]);
    for (const policy of ['static-weights', 'kvcached'])
      for (const loading of loadings)
        expect(text.match(new RegExp(`^${policy}, ${loading} +\\d`, 'gm'))).toHaveLength(3);
    expect(text).toContain('Models under kvcached, aegaeon');
    for (const form of ['markdown', 'html', 'svg', 'junit', 'github'] as const)
      expect(await renderShared(output, { form, outcomes: [], style })).toContain('kvcached, llama-swap');
    const rows = parse(sharedCsv(output), { columns: true }) as Record<string, string>[];
    expect(rows.filter(({ model }) => model === '').map(({ policy, loading }) => `${policy} ${loading}`)).toEqual(
      output.result.policies.map(({ policy, loading }) => `${policy} ${loading}`),
    );
  });

  it('are named by what differs', () => {
    const one = sharedTable(shared({ policies: ['kvcached'], loadings, onDemand: true }), style);
    for (const loading of loadings) expect(one.match(new RegExp(`^${loading} {2,}\\d`, 'gm'))).toHaveLength(3);
    expect(sharedTable(shared({ onDemand: true, loadings: ['aegaeon'] }), style)).not.toMatch(/kvcached, aegaeon/);
  });
});

describe('every form', () => {
  const requirement = { requirement: 'pool.preemptions<=0', holds: false, actual: 12 };
  const cases = {
    'one policy': shared({ policies: ['static'], chosen: 'static' }),
    'one model': shared({ models: ['only'] }),
    'no model': shared({ models: [] }),
    'nothing finished': shared({ finished: false }),
    'no time passed': shared({ points: 1 }),
    'no point of time': shared({ points: 0 }),
    'many models': shared({ models: many, points: 20 }),
  };
  for (const [name, output] of Object.entries(cases)) {
    it(`stands ${name}`, async () => {
      for (const form of simulateForms) {
        const text = await renderShared(output, { form, outcomes: [requirement], style });
        expect(text.length).toBeGreaterThan(40);
        if (form !== 'json' && form !== 'yaml') expect(text).not.toMatch(/\bNaN\b|Infinity|undefined/);
        if (form === 'table') expect(tooWide(text)).toEqual([]);
      }
    });
  }

  it('stands that every policy was refused', async () => {
    const output = shared({ policies: [], models: [] });
    output.result.refused = [{ policy: 'static', loading: null, reason: `${'needs'.repeat(30)} more memory` }];
    for (const form of simulateForms.filter((one) => one !== 'csv' && one !== 'svg')) {
      const text = await renderShared(output, { form, outcomes: [], style });
      expect(text).toContain('more memory');
      if (form === 'table') expect(tooWide(text)).toEqual([]);
    }
  });

  it('shows names from files harmless', async () => {
    const output = shared({ models: [hostile, 'b'] });
    output.input.pool.name = hostile;
    output.result.refused = [{ policy: 'static', loading: null, reason: hostile }];
    output.result.advice!.because = hostile;
    for (const form of ['table', 'markdown', 'github', 'junit', 'html', 'svg'] as const) {
      const text = await renderShared(output, { form, outcomes: [], style });
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
      if (form !== 'table' && form !== 'github') expect(text).not.toMatch(/(?<!\\)<img/);
    }
    expect(await renderShared(output, { form: 'csv', outcomes: [], style })).not.toMatch(/(^|,)=cmd/m);
  });

  it('tells no share of a pool that there is not, where not all models fit at once', async () => {
    const output = shared({ onDemand: true });
    for (const { pool } of output.result.policies) pool.poolBytes = 0;
    const text = sharedTable(output, style);
    expect(text).toContain('not all fit at once');
    expect(text).toMatch(/^kvcached +- +- +- +13\.3 /m);
    expect(await sharedSvg(output)).not.toContain('dashed');
  });

  it('says in forms for people what the columns mean, and groups refusals by their reason', async () => {
    const output = shared();
    output.result.refused = ['a', 'b', 'c'].map((policy) => ({
      policy,
      loading: null,
      reason: policy === 'c' ? 'other' : 'too large',
    }));
    for (const form of ['table', 'markdown', 'html'] as const) {
      const text = await renderShared(output, { form, outcomes: [], style });
      for (const word of ['frag.: ', 'fair: ', 'speed: ', 'a, b: too large', 'c: other']) expect(text).toContain(word);
    }
  });

  it('says what was not served, and why', () => {
    const text = sharedTable(shared({ finished: false }), style);
    expect(text).toContain('NOTHING SERVED');
    expect(text).toContain('6,455 rejected: longer than what the model may ever hold (first r0)');
  });
});

describe('CSV', () => {
  it('has a row a policy and a row for each of its models, under the same figures', () => {
    const output = shared();
    const rows = parse(sharedCsv(output), { columns: true }) as Record<string, string>[];
    expect(rows).toHaveLength(policyIds.length * (1 + 3));
    const [all, first] = rows.filter(({ policy }) => policy === 'kvcached') as [
      Record<string, string>,
      Record<string, string>,
    ];
    const { pool } = output.result;
    expect(all).toMatchObject({ model: '', 'requests.total': '19365', maps: '12345', relativeSpeed: '' });
    expect(Number(all['ttftSeconds.p99'])).toBe(pool!.ttftSeconds.p99);
    expect(first).toMatchObject({ model: 'chat-8b', 'requests.total': '6455', 'ttftSeconds.p99': '2.1', maps: '' });
  });

  it('holds the whole timeline', async () => {
    const output = shared({ points: 30 });
    const rows = parse(await renderSharedTimeline(output, 'csv'), { columns: true }) as Record<string, string>[];
    expect(rows).toHaveLength(policyIds.length * 30 * 3);
    const last = output.result.policies.at(-1)!.timeline.at(-1)!;
    expect(Number(rows.at(-1)!.mappedBytes)).toBe(last.models[2]!.mapped);
  });
});

describe('the chart', () => {
  it('is well-formed and has a panel a policy', async () => {
    const svg = await sharedSvg(shared({ onDemand: true }), 'a <title>');
    expect(balanced(svg)).toBe(true);
    expect(svg).toContain('a &lt;title&gt;');
    for (const policy of policyIds) expect(svg).toMatch(new RegExp(`>${policy}(: | \\()`));
    expect(svg).not.toMatch(/https?:(?!\/\/www\.w3\.org)/);
  });

  it('draws areas as high as what is held', async () => {
    // One model that holds half of all it may, in one panel: its area ends halfway between the axis and the dashed line.
    const output = shared({ models: ['one'], policies: ['oracle'], chosen: 'oracle' });
    const { timeline, pool } = output.result.policies[0]!;
    for (const point of timeline)
      point.models[0] = {
        weights: 0,
        mapped: pool.poolBytes / 2,
        used: pool.poolBytes / 2,
        waiting: 0,
        running: 1,
        refused: false,
      };
    const svg = await sharedSvg(output);
    const dashed = Number(/<path d="M[\d.]+ ([\d.]+)L[^"]*"[^>]*stroke-dasharray/.exec(svg)![1]);
    const area = /<path d="(M[^"]*Z)" fill="#0072b2"/g.exec(svg)![1]!;
    const heights = [...area.matchAll(/[ML][-\d.]+ ([\d.]+)/g)].map(([, y]) => Number(y));
    const base = Math.max(...heights);
    expect((base - Math.min(...heights)) / (base - dashed)).toBeCloseTo(0.5, 1);
  });

  it('marks where requests find no memory, and nothing where none do', async () => {
    const lanes = (svg: string): number => svg.match(/<path d="M[\d.]+ [\d.]+l[\d.]+ 0l0 4\.5l-/g)?.length ?? 0;
    const output = shared({ policies: ['static'], chosen: 'static' });
    expect(lanes(await sharedSvg(output))).toBeGreaterThan(3);
    for (const point of output.result.policies[0]!.timeline) for (const model of point.models) model.refused = false;
    expect(lanes(await sharedSvg(output))).toBe(0);
  });

  it('stays small with many models and points', async () => {
    const svg = await sharedSvg(shared({ models: many, points: 2000 }));
    expect(svg.length).toBeLessThan(800_000);
    expect(svg).toContain('19 others');
  });

  it('is part of a page that runs nothing and asks for nothing', async () => {
    const html = await sharedHtml(shared());
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/<script|src=|href=(?!"#)/);
    expect(html).toContain('Take kvcached');
  });
});

/** Every element is closed by its own end. */
function balanced(xml: string): boolean {
  const open: string[] = [];
  for (const [, end, name, self] of xml.matchAll(/<(\/?)([A-Za-z][\w:-]*)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (self) continue;
    if (end) {
      if (open.pop() !== name) return false;
    } else open.push(name!);
  }
  return open.length === 0;
}
