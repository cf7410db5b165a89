// The readers of traces on the first rows of the real files, and on small ones where the real may not be copied.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTrace } from '../../../src/load/traces/read.ts';
import { generatedFrom, generatedStride, hashedFrom, privateFrom } from '../../../src/sim/workload/token-space.ts';
import { expandRuns, fixture, lines, mean, pieces, readText } from './helpers.ts';

describe('real traces', () => {
  it.each([
    ['azure.csv', 'azure', 40, 699.625, 110.75],
    ['mooncake.jsonl', 'mooncake', 30, 14_166.633333, 388.533333],
    ['vidur.csv', 'vidur', 20, 2971.5, 196.65],
    ['prism.csv', 'prism', 30, 139.833333, 192.266667],
    ['measured.jsonl', 'measured', 20, 1291.9, 716.05],
  ])('%s: format, rows and means', async (file, format, rows, input, output) => {
    const trace = await readTrace(fixture(file), {});
    const { requests } = trace.workload;
    expect([trace.format, trace.rows, trace.rejected, requests.length]).toEqual([format, rows, 0, rows]);
    expect(mean(requests.map(({ promptTokens }) => promptTokens))).toBeCloseTo(input, 5);
    expect(mean(requests.map(({ outputTokens }) => outputTokens))).toBeCloseTo(output, 5);
  });

  it('keeps the seven decimals of Azure times', async () => {
    const { requests } = (await readTrace(fixture('azure.csv'), {})).workload;
    expect(requests.slice(0, 2).map(({ arrival }) => arrival)).toEqual([0, 4.314579]);
  });

  it('reads back every hash id of Mooncake from the tokens', async () => {
    const trace = await readTrace(fixture('mooncake.jsonl'), {});
    const starts = trace.workload.requests.flatMap(({ prompt }) =>
      expandRuns(prompt).filter((_, at) => at % 512 === 0),
    );
    expect(starts.every((token) => token % 512 === 0)).toBe(true);
    expect([starts.length, new Set(starts).size]).toEqual([849, 820]);
    expect(trace.blockTokens).toBe(512);
    expect(trace.workload.requests[1]!.prompt).toEqual([0, 512, 7168, 13978]);
  });

  it('takes the arrivals of a measured run from queued_ts, in order', async () => {
    const trace = await readTrace(fixture('measured.jsonl'), {});
    const arrivals = trace.workload.requests.map(({ arrival }) => arrival);
    expect(arrivals[0]).toBe(0);
    expect(arrivals).toEqual([...arrivals].sort((a, b) => a - b));
    expect(arrivals.at(-1)).toBeCloseTo(1.833095, 6);
  });

  it('vidur has no arrivals', async () => {
    const trace = await readTrace(fixture('vidur.csv'), {});
    expect(trace.hasArrivals).toBe(false);
    expect(trace.workload.requests.every(({ arrival }) => arrival === 0)).toBe(true);
  });

  it('takes one model of a trace with several', async () => {
    const trace = await readTrace(fixture('prism.csv'), {}, { model: '2' });
    expect(trace.workload.requests.length).toBe(3);
    expect(trace.diagnostics.map(({ code }) => code)).toEqual(['VRAM609']);
  });

  it.each(['burstgpt-6.csv', 'burstgpt-8.csv'])('%s: failures are left out and counted', async (file) => {
    const trace = await readTrace(fixture(file), {});
    expect(trace.format).toBe('burstgpt');
    expect(trace.workload.requests.map(({ outputTokens }) => outputTokens).sort()).toEqual([18, 230]);
    const failed = trace.diagnostics.filter(({ code }) => code === 'VRAM609');
    expect(failed.length).toBe(file === 'burstgpt-6.csv' ? 1 : 0);
  });

  it('--limit reads no further', async () => {
    const trace = await readTrace(fixture('azure.csv'), {}, { limit: 7 });
    expect([trace.rows, trace.workload.requests.length]).toEqual([7, 7]);
  });
});

describe('our own traces', () => {
  it('takes everything that a request may carry', async () => {
    const { workload, diagnostics } = await readText(
      lines(
        { id: 'a', arrival: 3, prompt: [{ range: [0, 256] }, { range: [256, 300] }], output: 7, priority: 2 },
        { id: 'b', arrival: 3, input: 10, output: 5, salt: 's', lora: 1, max_tokens: 9, samples: 2, beam_width: 4 },
      ),
    );
    expect(diagnostics).toEqual([]);
    expect(workload.requests[0]).toMatchObject({
      id: 'a',
      arrival: 3,
      prompt: [0, 300],
      promptTokens: 300,
      outputTokens: 7,
      maxTokens: 7,
      outputBase: generatedFrom,
      priority: 2,
    });
    expect(workload.requests[1]).toMatchObject({
      prompt: [privateFrom, privateFrom + 10],
      salt: 's',
      lora: 1,
      maxTokens: 9,
      samples: 2,
      beamWidth: 4,
      outputBase: generatedFrom + generatedStride,
    });
  });

  it('sorts by arrival and says where each row went', async () => {
    const { workload, diagnostics, fileOrder } = await readText(
      lines(
        { input: 1, output: 1, arrival: 5 },
        { input: 2, output: 1, arrival: 1 },
        { input: 3, output: 1, arrival: 5 },
      ),
    );
    expect(workload.requests.map(({ promptTokens }) => promptTokens)).toEqual([2, 1, 3]);
    expect(fileOrder).toEqual([1, 0, 2]);
    expect(diagnostics.map(({ code }) => code)).toEqual(['VRAM608']);
  });

  it('names keys that it does not know', async () => {
    const { diagnostics } = await readText(lines({ input: 1, output: 1, arival: 5 }));
    expect(diagnostics[0]).toMatchObject({ code: 'VRAM613', severity: 'note' });
    expect(diagnostics[0]!.message).toContain('arival');
  });
});

describe('conversations', () => {
  const turn = (
    chat_id: number,
    parent_chat_id: number,
    input_length: number,
    output_length: number,
    hash_ids: unknown[],
  ) => ({
    chat_id,
    parent_chat_id,
    timestamp: chat_id,
    input_length,
    output_length,
    type: 'text',
    turn: 1,
    hash_ids,
  });

  it('a Bailian turn begins with the earlier prompt and its answer', async () => {
    const { workload } = await readText(
      lines(
        turn(1, -1, 20, 10, [100, 101]),
        turn(2, 1, 50, 10, [100, 102, 103, 104]),
        turn(3, -1, 48, 1, [100, 102, 103]),
      ),
    );
    const [first, second, third] = workload.requests;
    const history = [...expandRuns(first!.prompt), ...Array.from({ length: 10 }, (_, k) => first!.outputBase + k)];
    expect(second!.after).toBe(0);
    expect(expandRuns(second!.prompt).slice(0, 30)).toEqual(history);
    expect(second!.promptTokens).toBe(expandRuns(second!.prompt).length);
    // The same blocks hold the same tokens, whoever asks for them.
    expect(expandRuns(third!.prompt)).toEqual(expandRuns(second!.prompt).slice(0, 48));
  });

  it('a turn that does not contain the answer keeps its own blocks', async () => {
    const { workload } = await readText(
      lines(turn(1, -1, 20, 100, [1, 2]), turn(2, 1, 40, 10, [1, 3, 4]), turn(3, 1, 140, 1, [9])),
    );
    expect(workload.requests[1]!.prompt).toEqual([16, 32, 48, 72]);
    expect(workload.requests[2]!.prompt.slice(0, 2)).toEqual([144, 160]);
  });

  it('hash ids of 64 bits are numbered', async () => {
    const { workload } = await readText(
      lines(turn(1, -1, 32, 1, [2 ** 62, 'f00']), turn(2, -1, 32, 1, ['f00', 2 ** 62])),
    );
    expect(workload.requests[0]!.prompt).toEqual([hashedFrom, hashedFrom + 32]);
    expect(workload.requests[1]!.prompt).toEqual([hashedFrom + 16, hashedFrom + 32, hashedFrom, hashedFrom + 16]);
  });

  const conversations = [
    {
      id: 'x',
      conversations: [
        { from: 'system', value: 'Be brief.' },
        { from: 'human', value: 'a'.repeat(40) },
        { from: 'gpt', value: 'b'.repeat(80) },
        { from: 'human', value: 'c'.repeat(20) },
        { from: 'gpt', value: 'd' },
        { from: 'gpt', value: '} ] " \\" é' },
      ],
    },
    { id: 'y', conversations: [{ from: 'gpt', value: 'nobody asked' }] },
    {
      id: 'z',
      conversations: [
        { from: 'system', value: 'Be brief.' },
        { from: 'user', value: 'q' },
        { from: 'assistant', value: 'r' },
      ],
    },
  ];

  it('ShareGPT turns hold all earlier ones; the same system text is the same tokens', async () => {
    const trace = await readText(JSON.stringify(conversations, null, 2));
    expect([trace.format, trace.rows, trace.hasArrivals]).toEqual(['sharegpt', 3, false]);
    const [first, second, third] = trace.workload.requests;
    expect(first).toMatchObject({ promptTokens: 3 + 10, outputTokens: 20 });
    expect(second).toMatchObject({ promptTokens: 13 + 20 + 5, after: 0 });
    const history = [...expandRuns(first!.prompt), ...Array.from({ length: 20 }, (_, k) => first!.outputBase + k)];
    expect(expandRuns(second!.prompt).slice(0, 33)).toEqual(history);
    expect(expandRuns(third!.prompt).slice(0, 3)).toEqual(expandRuns(first!.prompt).slice(0, 3));
    expect(trace.diagnostics.map(({ code }) => code)).toEqual(['VRAM612', 'VRAM609']);
  });

  it('a list read in pieces of any size gives the same requests', async () => {
    const text = JSON.stringify(conversations, null, 1);
    const whole = await readText(text);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 40 }), async (size) => {
        expect((await readText(text, {}, size)).workload).toEqual(whole.workload);
      }),
      { numRuns: 40 },
    );
  });
});

describe('reading in pieces', () => {
  it('gives the same rows wherever the pieces end, whatever ends the lines', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 900 })), {
          minLength: 1,
          maxLength: 30,
        }),
        fc.integer({ min: 1, max: 64 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        async (rows, size, end, final) => {
          const text =
            ['num_prefill_tokens,num_decode_tokens', ...rows.map((row) => row.join(','))].join(end) +
            (final ? end : '');
          const bytes = Buffer.from(`\ufeff${text}`);
          const { workload } = await readTrace('-', { stdinChunks: pieces(bytes, size) });
          expect(workload.requests.map((r) => [r.promptTokens, r.outputTokens])).toEqual(rows);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('token ids', () => {
  it('of lengths never meet', async () => {
    const trace = await readTrace(fixture('azure.csv'), {});
    const runs = trace.workload.requests.flatMap(({ prompt, outputBase, outputTokens }) => [
      [prompt[0]!, prompt[1]!],
      [outputBase, outputBase + outputTokens],
    ]);
    runs.sort((a, b) => a[0]! - b[0]!);
    for (let at = 1; at < runs.length; at++) expect(runs[at]![0]).toBeGreaterThanOrEqual(runs[at - 1]![1]!);
    expect(Number.isSafeInteger(runs.at(-1)![1])).toBe(true);
  });

  it('an output of more than a million tokens has room', async () => {
    const { workload } = await readText(
      lines({ input: 1, output: 3_000_000 }, { input: 1, output: 2_000_000, samples: 3 }, { input: 1, output: 5 }),
    );
    const bases = workload.requests.map(({ outputBase }) => outputBase);
    expect(bases[1]! - bases[0]!).toBe(3_000_000);
    expect(bases[2]).toBe(generatedFrom + 2 * generatedStride);
  });
});
