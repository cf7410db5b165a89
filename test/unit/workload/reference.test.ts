// What a workload can be called, and what the options do to it.

import { describe, expect, it } from 'vitest';
import { standardInputOnce } from '../../../src/load/context.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import { parseWorkloadRef, type WorkloadOptions } from '../../../src/load/traces/reference.ts';
import { withRate } from '../../../src/sim/workload/transform.ts';
import { expandRuns, fixture, lines, mean, refusal } from './helpers.ts';

const load = (ref: string, options: WorkloadOptions = {}, stdin?: string) =>
  parseWorkloadRef(ref, options, stdin === undefined ? {} : { stdin: () => stdin });

describe('presets', () => {
  it.each(loadPresets('workloads').map(({ id }) => id))('%s runs, with sources and what it assumes', async (id) => {
    const preset = loadPresets('workloads').find((one) => one.id === id)!;
    expect(preset.sources!.length).toBeGreaterThan(0);
    expect(preset.assumed!.length).toBeGreaterThan(0);
    const { workload, description } = await load(id, { limit: 300 });
    expect(workload.requests).toHaveLength(300);
    expect(description).toMatchObject({ format: 'synthetic', title: preset.name, requests: 300, rows: null });
  });

  it.each([
    ['sharegpt', 161.31, 337.99],
    ['alpaca', 19.31, 58.45],
    ['summarization-arxiv', 2588.08, 291.43],
    ['azure-conversation', 1154.7, 211.13],
    ['mooncake-conversation', 12_035.06, 342.62],
  ])('%s has the published means', async (id, input, output) => {
    const { requests } = (await load(id, { limit: 40_000 })).workload;
    expect(Math.abs(mean(requests.map((r) => r.promptTokens)) / input - 1)).toBeLessThan(0.015);
    expect(Math.abs(mean(requests.map((r) => r.outputTokens)) / output - 1)).toBeLessThan(0.02);
  });

  it('agents come near the mean input of the trace they are named after', async () => {
    const { description } = await load('agent', { limit: 20_000 });
    expect(Math.abs(description.meanPromptTokens / 8596 - 1)).toBeLessThan(0.08);
  });
});

describe('inline forms', () => {
  it('arrivals and fields', async () => {
    const { workload, description } = await load(
      'poisson:rate=2,input=lognormal(161,0.75),output=uniform(50,400),requests=200',
    );
    expect(workload.requests).toHaveLength(200);
    expect(description.rate).toBe(2);
  });

  it('a preset with other fields', async () => {
    const { description } = await load('sharegpt:rate=4,requests=50,max-tokens=64');
    expect([description.requests, description.rate, description.maxOutputTokens]).toEqual([50, 4, 64]);
    const closed = await load('sharegpt:arrivals=closed,concurrency=3');
    expect(closed.workload.concurrency).toBe(3);
  });

  it('lengths of a trace, together or one by one', async () => {
    const together = await load(`poisson:rate=1,requests=400,lengths=empirical(${fixture('vidur.csv')})`);
    const rows = new Set(
      (await load(fixture('vidur.csv'), { concurrency: 1 })).workload.requests.map(
        (r) => `${r.promptTokens},${r.outputTokens}`,
      ),
    );
    expect(together.workload.requests.every((r) => rows.has(`${r.promptTokens},${r.outputTokens}`))).toBe(true);
    const apart = await load(`poisson:rate=1,input=empirical(${fixture('vidur.csv')}),output=7`);
    expect(apart.description.meanOutputTokens).toBe(7);
  });

  it.each([
    ['poisson:rate=2,outptu=3', 'VRAM616', /did you mean output/],
    ['poisson:rate=2,rate=3,input=1,output=1', 'VRAM616', undefined],
    ['poisson:rate=2,input', 'VRAM616', /poisson:rate/],
    ['poison:rate=2', 'VRAM615', /poisson/],
    ['sharegtp', 'VRAM615', /sharegpt/],
    ['nosuch.csv', 'VRAM615', /vram list workloads/],
    ['', 'VRAM615', /sharegpt/],
    ['closed:input=1,output=1', 'VRAM616', undefined],
  ])('%j is refused', async (ref, code, hint) => {
    const { diagnostics } = await refusal(load(ref));
    expect(diagnostics[0]!.code).toBe(code);
    if (hint) expect(diagnostics[0]!.hint).toMatch(hint);
  });
});

describe('options', () => {
  const azure = fixture('azure.csv');

  it('a rate scales the times, or sets the mean', async () => {
    const plain = await load(azure);
    const twice = await load(azure, { rate: { kind: 'scale', factor: 2 } });
    expect(twice.workload.requests.map(({ arrival }) => arrival)).toEqual(
      plain.workload.requests.map(({ arrival }) => arrival / 2),
    );
    const set = await load(azure, { rate: { kind: 'perSecond', requests: 4 } });
    expect(set.workload.requests.at(-1)!.arrival).toBeCloseTo(39 / 4, 9);
    expect(set.description.rate).toBe(4);
    const preset = await load('sharegpt', { rate: { kind: 'scale', factor: 3 }, limit: 20 });
    const asWritten = await load('sharegpt', { limit: 20 });
    expect(preset.workload.requests[7]!.arrival).toBeCloseTo(asWritten.workload.requests[7]!.arrival / 3, 9);
    const later = withRate(
      asWritten.workload,
      { kind: 'scale', factor: 3 },
      { rate: asWritten.description.rate ?? undefined, seed: 0 },
    );
    expect(later.requests[7]!.arrival).toBeCloseTo(preset.workload.requests[7]!.arrival, 9);
  });

  it('a rate counts requests, every turn of a conversation being one', async () => {
    const rate = { kind: 'perSecond', requests: 3 } as const;
    for (const ref of ['chat', 'chat:arrivals=constant,rate=1', 'agent', 'sharegpt']) {
      const { workload, description } = await load(ref, { rate, limit: 20_000 });
      const { spanSeconds, rate: described } = description;
      expect(described).toBeCloseTo(3, 12);
      expect(20_000 / spanSeconds).toBeGreaterThan(2.85);
      expect(20_000 / spanSeconds).toBeLessThan(3.15);
      for (const { after, arrival } of workload.requests) {
        if (after !== undefined) expect(arrival).toBe(workload.requests[after]!.arrival);
      }
    }
    const ramp = await load('chat:arrivals=ramp,from=1,to=5,requests=9000');
    expect([ramp.description.rate, 9000 / ramp.description.spanSeconds]).toEqual([
      expect.closeTo(3, 9),
      expect.closeTo(3, 0),
    ]);
  });

  it('a trace without arrivals needs a rate or a closed loop', async () => {
    const { diagnostics } = await refusal(load(fixture('vidur.csv')));
    expect(diagnostics[0]!.code).toBe('VRAM614');
    const { workload } = await load(fixture('vidur.csv'), { rate: { kind: 'perSecond', requests: 5 }, seed: 3 });
    expect(workload.requests.at(-1)!.arrival).toBeGreaterThan(1);
    expect((await load(fixture('vidur.csv'), { concurrency: 4 })).workload.concurrency).toBe(4);
    expect(
      (await refusal(load(fixture('vidur.csv'), { rate: { kind: 'scale', factor: 2 } }))).diagnostics[0]!.code,
    ).toBe('VRAM614');
  });

  it('standard input is read for one option only', async () => {
    const both = async () => standardInputOnce({ '--model': '-', '--gpu': 'l4', '--workload': ' -' });
    expect((await refusal(both())).diagnostics[0]).toMatchObject({
      message: 'standard input (-) can be read only once, and --model and --workload want it',
      path: '--workload',
    });
    expect(() => standardInputOnce({ '--model': 'm', '--gpu': undefined, '--workload': '-' })).not.toThrow();
  });

  it('rate and closed loop exclude each other', async () => {
    const both = load(azure, { rate: { kind: 'scale', factor: 2 }, concurrency: 2 });
    expect((await refusal(both)).diagnostics[0]!.code).toBe('VRAM617');
  });

  it('everything at once is a workload of its own', async () => {
    const { workload } = await load('-', {}, lines({ input: 5, output: 1 }, { input: 5, output: 1 }));
    expect(workload.requests).toHaveLength(2);
  });

  it('a span is from the first to the last arrival', async () => {
    const row = (arrival: number) => ({ arrival, input: 5, output: 1 });
    const { description } = await load('-', {}, lines(row(3.25), row(4), row(6.5)));
    expect([description.spanSeconds, description.rate]).toEqual([3.25, 2 / 3.25]);
    expect(description.line).toContain('3 requests in 3.3 s');
  });

  it('conversations of texts come at a rate of requests, all turns of one at its time', async () => {
    const turns = (many: number) =>
      Array.from({ length: many }, () => [
        { from: 'human', value: 'why?' },
        { from: 'gpt', value: 'because' },
      ]).flat();
    const text = JSON.stringify(Array.from({ length: 2000 }, (_, at) => ({ conversations: turns(1 + (at % 4)) })));
    const { description } = await load('-', { rate: { kind: 'perSecond', requests: 10 } }, text);
    expect([description.requests, description.rate]).toEqual([5000, 10]);
    expect(Math.abs(description.spanSeconds / 500 - 1)).toBeLessThan(0.06);
    const { message } = (await refusal(load('-', {}, text))).diagnostics[0]!;
    expect(message).toBe('there are no arrival times in the ShareGPT conversations');
    expect((await load('-', { timeless: true }, text)).description.spanSeconds).toBe(0);
  });

  it('a duration keeps what arrives within it', async () => {
    const { workload } = await load(azure, { durationSeconds: 10 });
    expect(workload.requests.at(-1)!.arrival).toBeLessThanOrEqual(10);
    expect(workload.requests.length).toBeLessThan(40);
  });

  it('repetition brings back stated tokens, and makes new private ones', async () => {
    const text = lines(
      { id: 'a', arrival: 0, prompt: [{ range: [0, 100] }], output: 3 },
      { id: 'b', arrival: 4, input: 50, output: 3 },
    );
    const { workload } = await load('-', { repeat: 3 }, text);
    const [a, b, a2, b2, , b3] = workload.requests;
    expect(workload.requests.map(({ id, arrival }) => [id, arrival])).toEqual([
      ['a', 0],
      ['b', 4],
      ['a#2', 8],
      ['b#2', 12],
      ['a#3', 16],
      ['b#3', 20],
    ]);
    expect(a2!.prompt).toEqual(a!.prompt);
    const own = [b, b2, b3].flatMap((request) => expandRuns(request!.prompt));
    expect(new Set(own).size).toBe(150);
    expect(new Set(workload.requests.map(({ outputBase }) => outputBase)).size).toBe(6);
  });

  it('repeated conversations follow their own turns', async () => {
    const { workload } = await load('chat', { limit: 40, repeat: 2 });
    const { requests } = workload;
    for (const request of requests.slice(40)) {
      if (request.after === undefined) continue;
      const before = requests[request.after]!;
      expect(request.after).toBeGreaterThanOrEqual(40);
      const history = [...expandRuns(before.prompt), before.outputBase];
      expect(expandRuns(request.prompt).slice(0, history.length)).toEqual(history);
    }
    expect(requests.filter(({ after }) => after !== undefined).length).toBeGreaterThan(20);
  });

  it('samples and beams of every request', async () => {
    const { workload } = await load(azure, { samples: 4 });
    expect(workload.requests.every(({ samples }) => samples === 4)).toBe(true);
    const beams = await load('alpaca', { beamWidth: 6, limit: 10 });
    expect(beams.workload.requests.every(({ beamWidth }) => beamWidth === 6)).toBe(true);
  });

  it('the same seed draws the same', async () => {
    expect((await load('chat', { seed: 5, limit: 100 })).workload).toEqual(
      (await load('chat', { seed: 5, limit: 100 })).workload,
    );
  });
});
