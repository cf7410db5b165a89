// What is printed about simulated runs, from runs made by hand: widths, glyphs, escapes, what each form carries.
import { describe, expect, it } from 'vitest';
import { distinctions, type NamedRun, type SeveralRuns, simulateOutput } from '../../../src/plan/simulate-output.ts';
import { simulateOutputSchema } from '../../../src/plan/simulate-schema.ts';
import { timelineSvg } from '../../../src/render/simulate-chart.ts';
import { simulateCsv, simulateMarkdown, timelineCsv } from '../../../src/render/simulate-flat.ts';
import { simulateHtml } from '../../../src/render/simulate-html.ts';
import { namesOf, runsTable } from '../../../src/render/simulate-runs.ts';
import { simulateTable } from '../../../src/render/simulate-table.ts';
import { seconds, span } from '../../../src/render/simulate-text.ts';
import { resample, sparkline } from '../../../src/render/spark.ts';
import type { TimelinePoint } from '../../../src/sim/result.ts';
import { input, run, single } from './simulate-fixture.ts';

const style = { colour: false, columns: 80 };
const lines = (text: string): string[] => text.split('\n');
const tooWide = (text: string): string[] => lines(text).filter((line) => line.length > 80);

function several(runs: NamedRun[], refused: SeveralRuns['refused'] = []) {
  const result = { runs, refused };
  return { ...simulateOutput(input, result, []), result };
}

function at(t: number, usedBlocks: number): TimelinePoint {
  return { ...run().timeline[0]!, t, usedBlocks };
}

describe('sparkline', () => {
  it('weighs values by the time they hold', () => {
    const points = [at(0, 0), at(1, 8), at(3, 4), at(4, 0)];
    expect(resample(points, (point) => point.usedBlocks, 2)).toEqual([4, 6]);
    expect(resample(points, (point) => point.usedBlocks, 4)).toEqual([0, 8, 8, 4]);
  });

  it('keeps the sum whatever the width', () => {
    const { timeline } = run();
    for (const width of [1, 7, 42, 1000]) {
      const sum = resample(timeline, (point) => point.usedBlocks, width).reduce((a, b) => a + b, 0);
      expect(sum / width).toBeCloseTo(resample(timeline, (point) => point.usedBlocks, 1)[0]!, 6);
    }
  });

  it('shows anything above zero, and nothing for nothing', () => {
    const points = [at(0, 1), at(1, 0), at(2, 800), at(3, 0)];
    expect(sparkline(points, (point) => point.usedBlocks, 800, 3)).toBe('▁ █');
    expect(sparkline([], () => 1, 1, 10)).toBe('');
    expect(sparkline([at(5, 1)], () => 1, 1, 10)).toBe('');
  });
});

describe('the table of one run', () => {
  it('holds 80 columns and leaves no space at the end of a line', () => {
    const text = simulateTable(single(), style);
    expect(tooWide(text)).toEqual([]);
    expect(text).not.toMatch(/[ \t]+$/m);
  });

  it('draws a bar whose cells are the shares', () => {
    const bar = lines(simulateTable(single(), style)).find((line) => line.startsWith(' █'))!;
    expect(bar).toHaveLength(79);
    expect(bar.split('').filter((cell) => cell === '█')).toHaveLength(39);
  });

  it('marks times as estimates, and what is sure not', () => {
    const text = simulateTable(single(), style);
    expect(text).toContain('Latency  roofline estimate, +-25 %');
    expect(text).toContain('5.5 % of the tokens looked up at admission were cached');
  });

  it('leaves out what there is not', () => {
    const nothing = single({ requests: { ...run().requests, finished: 0 }, steps: 0, timeline: [], advice: [] });
    const text = simulateTable(nothing, style);
    expect(text).toContain('NOTHING SERVED');
    expect(text).not.toMatch(/Latency|KV cache|Try/);
    expect(simulateTable(single(), style)).not.toContain('Sharing');
    const shared = single({ copyOnWrite: { copies: 12, sharedBlocksPeak: 40, savedBlocksShare: 0.123 } });
    expect(simulateTable(shared, style)).toContain('saves 12.3 % of the blocks');
  });

  it('shows names from outside harmless', () => {
    const hostile = single({
      requests: { ...run().requests, rejections: [{ reason: '\u001b]0;x\u0007', count: 1, first: '\u202eid' }] },
    });
    expect(simulateTable(hostile, style)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  });
});

describe('several runs', () => {
  const runs = [
    run({ settings: { 'max-num-batched-tokens': 2048, 'gpu-memory-utilization': 0.9 } }),
    run({ settings: { 'max-num-batched-tokens': 8192, 'gpu-memory-utilization': 0.9 } }),
  ];

  it('are told apart by what differs between them', () => {
    expect(distinctions([run(), run({ policy: 'v0' })])).toEqual({ keys: ['policy'], values: [['paged'], ['v0']] });
    expect(namesOf(runs)[1]).toBe('max-num-batched-tokens 8192, gpu-memory-utilization 0.9');
    expect(namesOf([run(), run({ eviction: 'lfu' })])).toEqual(['lru', 'lfu']);
  });

  it('hold 80 columns with any names and figures', () => {
    const large = run({
      policy: 'static-batching',
      latency: { ...run().latency, ttftSeconds: { mean: 123_456, p50: 1, p90: 1, p99: 1 } },
      preemptions: { recompute: 1_234_567, swap: 0, recomputedTokens: 1, swappedBlocks: 0 },
    });
    const refused = [
      { policy: 'paged', settings: { 'block-size': 7 }, reason: 'block size 7 is not supported '.repeat(5) },
    ];
    expect(tooWide(runsTable(several([large, ...runs], refused), style))).toEqual([]);
  });
});

describe('other forms', () => {
  it('CSV names every figure by its path and defuses formulas', () => {
    const rows = simulateCsv(several([run({ policy: '=cmd' })])).split('\r\n');
    expect(rows[0]).toMatch(/^policy,eviction,requests\.total,/);
    expect(rows[1]).toMatch(/^'=cmd,lru,19366,19354,12,/);
  });

  it('the timeline has a row a point and blocks that add up', () => {
    const rows = timelineCsv([run()]).trim().split('\r\n');
    expect(rows).toHaveLength(201);
    for (const row of rows.slice(1)) {
      const [, used, cached, free] = row.split(',').map(Number);
      expect(used! + cached! + free!).toBe(4095);
    }
  });

  it('the chart draws what occurs and marks preemptions', async () => {
    const svg = await timelineSvg([run()], 'a <title>');
    expect(svg).toContain('a &lt;title&gt;');
    for (const name of ['token states', 'cached', 'preemptions', 'running', 'waiting']) expect(svg).toContain(name);
    expect(svg).not.toContain('external frag.');
    expect(svg.match(/fill="#b3261e"/g)!.length).toBeGreaterThan(
      run().timeline.filter((p) => p.preemptions > 0).length,
    );
    const dense = run({ timeline: run().timeline.map((point) => ({ ...point, preemptions: 1 })) });
    expect((await timelineSvg([dense])).match(/fill="#b3261e"/g)!.length).toBeLessThan(100);
    const calm = run({ timeline: run().timeline.map((point) => ({ ...point, preemptions: 0 })) });
    expect(await timelineSvg([calm])).not.toContain('preemptions');
    expect(await timelineSvg([run({ timeline: [] })])).toContain('nothing ran');
  });

  it('Markdown and HTML escape what comes from outside', async () => {
    const hostile = several([run()], [{ policy: '<script>|', settings: {}, reason: '<b>`|' }]);
    const html = await simulateHtml(hostile);
    expect(html).not.toMatch(/<script|<b>/);
    expect(simulateMarkdown(hostile)).not.toMatch(/[^\\]<b>/);
  });

  it('what is made by hand is what the schema says', () => {
    expect(simulateOutputSchema.safeParse(single()).error?.issues).toBeUndefined();
    expect(simulateOutputSchema.safeParse(several([run()])).error?.issues).toBeUndefined();
  });
});

describe('durations', () => {
  it.each([
    [0, '0 s'],
    [0.000_43, '0.43 ms'],
    [0.0123, '12.3 ms'],
    [0.456, '456 ms'],
    [4.567, '4.57 s'],
    [45.67, '45.7 s'],
    [456.7, '457 s'],
    [12_345, '12,345 s'],
    [123_456, '34.3 h'],
  ])('%d is %s', (value, text) => {
    expect(seconds(value)).toBe(text);
  });

  it('spans go up to hours', () => {
    expect([45, 600, 9000].map(span)).toEqual(['45.0 s', '10.0 min', '2.50 h']);
  });
});
