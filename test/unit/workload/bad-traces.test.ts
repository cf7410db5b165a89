// What a trace can have wrong, one documented rule each: rejected with its line, noted, or refused as a whole. Never a hang.
import { describe, expect, it } from 'vitest';
import { maxLineBytes } from '../../../src/load/traces/lines.ts';
import { readTrace } from '../../../src/load/traces/read.ts';
import { workloadCodes } from '../../../src/sim/workload/codes.ts';
import { lines, pieces, readText, refusal } from './helpers.ts';

const azure = 'TIMESTAMP,ContextTokens,GeneratedTokens';
const burst = 'Timestamp,Model,Request tokens,Response tokens';
const at = (second: number): string => `2023-11-16 18:15:${String(second).padStart(2, '0')}.0000000`;
const good = Array.from({ length: 20 }, (_, second) => `${at(second)},100,10`);

describe('refused as a whole', () => {
  it.each([
    ['nothing', '', 'VRAM601'],
    ['blank lines', ' \n\n\t\n', 'VRAM601'],
    ['a header alone', `${azure}\n`, 'VRAM601'],
    ['unknown columns', 'a,b,c\n1,2,3\n', 'VRAM602'],
    ['a missing column', 'TIMESTAMP,ContextTokens\n1,2\n', 'VRAM603'],
    ['missing keys', lines({ timestamp: 0, input_length: 5, output_length: 2 }), 'VRAM603'],
    ['unknown keys', lines({ foo: 1 }), 'VRAM602'],
    ['JSON over several lines', '{\n  "input": 1,\n  "output": 2\n}\n', 'VRAM607'],
    ['a list of numbers', '[1, 2, 3]', 'VRAM607'],
    ['mostly bad rows', [azure, good[0], '-,-,-', '-,-,-'].join('\n'), 'VRAM607'],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n', 'VRAM602'],
    ['HTML', '<!DOCTYPE html><html></html>', 'VRAM602'],
    ['binary', 'a\0b\0', 'VRAM602'],
    ['something behind a list', '[{"conversations":[]}] x', 'VRAM602'],
  ])('%s', async (_, text, code) => {
    const { diagnostics } = await refusal(readText(text));
    expect(diagnostics[0]).toMatchObject({ severity: 'error', code });
    expect(workloadCodes).toHaveProperty(code);
  });

  const answered = [
    { from: 'human', value: 'why?' },
    { from: 'gpt', value: 'because' },
  ];
  it.each([
    ['a header alone', `\n${azure}\n`, {}, 'there is a header and no row', 2],
    ['an empty list', '\n[\n]', {}, 'the list is empty', 1],
    ['answers alone', `[\n{"conversations":${JSON.stringify(answered.slice(1))}}]`, {}, /a question and its answer/, 2],
    ['other models alone', `${burst}\n1,A,5,5\n2,B,5,5`, { model: 'C' }, 'no row is of the model that is asked for', 2],
    ['failures alone', `${burst}\n1,A,5,0\n`, {}, 'every request failed (response 0)', 2],
  ])('%s, with the line and what to do', async (_, text, options, why, line) => {
    const { diagnostics } = await refusal(readText(text, options));
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]!.message.replace('standard input: ', '')).toMatch(why);
    expect(diagnostics[0]).toMatchObject({ path: `standard input:${line}`, hint: expect.any(String) });
  });

  it('names the models there are', async () => {
    const { diagnostics } = await refusal(readText(`${burst}\n1,A,5,5\n2,B,5,5`, { model: 'C' }));
    expect(diagnostics[0]!.hint).toBe('models of the trace: A, B');
  });

  it('gzip, whatever it is called', async () => {
    const { diagnostics } = await refusal(readText(Buffer.from([0x1f, 0x8b, 8, 0, 0, 0])));
    expect(diagnostics[0]!.hint).toContain('gunzip');
  });

  it('says what is missing, what was found and what may be meant', async () => {
    const { diagnostics } = await refusal(readText('TIMESTAMP,ContextTokens,GeneratedToken\n1,2,3\n'));
    expect(diagnostics[0]!.message).toMatch(
      /missing GeneratedTokens; columns found: TIMESTAMP, ContextTokens, GeneratedToken$/,
    );
    expect(diagnostics[0]!.hint).toContain('GeneratedToken');
  });

  it.each([
    ['the first line', 'x', 1],
    ['a later line', `${[azure, good[0]].join('\n')}\n`, 3],
    ['an element of a list', '[{"conversations":[]},\n{"x":"', 2],
  ])('an endless %s, after reading little of it', async (_, start, line) => {
    let given = 0;
    async function* endless(): AsyncIterable<Buffer> {
      yield Buffer.from(start);
      for (;;) {
        given += 2 ** 20;
        yield Buffer.alloc(2 ** 20, 'a');
      }
    }
    const { diagnostics } = await refusal(readTrace('-', { stdinChunks: endless() }));
    expect(diagnostics[0]).toMatchObject({ code: 'VRAM604', path: `standard input:${line}` });
    expect(given).toBeLessThanOrEqual(maxLineBytes + 2 ** 21);
  });

  it('an endless stream of bad rows', async () => {
    async function* endless(): AsyncIterable<Buffer> {
      yield Buffer.from(`${azure}\n`);
      for (;;) yield Buffer.from('x,y,z\n'.repeat(1000));
    }
    const { diagnostics } = await refusal(readTrace('-', { stdinChunks: endless() }));
    expect(diagnostics[0]!.code).toBe('VRAM607');
  });

  it('a list nested ten thousand deep is a bad row, no crash', async () => {
    const text = `{"input":1,"output":1,"id":${'['.repeat(10_000)}${']'.repeat(10_000)}}`;
    expect((await refusal(readText(text))).diagnostics[1]!.code).toBe('VRAM606');
  });
});

describe('bad rows', () => {
  it.each([
    ['a negative length', `${at(1)},-5,10`, 'VRAM606', /ContextTokens is -5 \(negative\)/],
    ['a fraction', `${at(1)},5.5,10`, 'VRAM606', /5\.5 \(not a whole number\)/],
    ['no number', `${at(1)},NaN,10`, 'VRAM606', /NaN \(not a number\)/],
    ['hexadecimal', `${at(1)},0x10,10`, 'VRAM606', /0x10 \(not a number\)/],
    ['an absurd length', `${at(1)},1,4294967296`, 'VRAM606', /4294967296 \(above 16,777,216/],
    ['a prompt of 2 billion tokens', `${at(1)},2000000000,1`, 'VRAM606', /ContextTokens is 2000000000 \(above/],
    ['infinity', `${at(1)},1e999,4`, 'VRAM606', /not a number/],
    ['a missing value', `${at(1)},1,`, 'VRAM606', /GeneratedTokens is missing/],
    ['an empty prompt', `${at(1)},0,10`, 'VRAM606', /empty prompt/],
    ['no time', 'yesterday,1,2', 'VRAM606', /TIMESTAMP is "yesterday"/],
    ['a line cut short', '2023-11-16 18:1', 'VRAM605', /1 columns, expected at least 3/],
    ['an open quote', '"2023,1,2', 'VRAM605', /quotes/],
  ])('%s is rejected with its line', async (_, row, code, message) => {
    const trace = await readText([azure, ...good, row].join('\n'));
    expect([trace.rows, trace.rejected, trace.workload.requests.length]).toEqual([21, 1, 20]);
    expect(trace.diagnostics).toHaveLength(1);
    expect(trace.diagnostics[0]).toMatchObject({ severity: 'warning', code, path: 'standard input:22' });
    expect(trace.diagnostics[0]!.message).toMatch(message);
  });

  it('a truncated last line of JSON', async () => {
    const row = JSON.stringify({ timestamp: 0, input_length: 600, output_length: 2, hash_ids: [0, 1] });
    const trace = await readText(`${row}\n${row}\n${row.slice(0, -8)}`);
    expect(trace.workload.requests.length).toBe(2);
    expect(trace.diagnostics[0]).toMatchObject({ code: 'VRAM605', path: 'standard input:3' });
  });

  it.each([
    [[-1, 'x'], /hash_ids holds -1 \(/],
    [[1e300, 2], /hash_ids holds 1e\+300 \(/],
    [[0, 1.5], /hash_ids holds 1\.5 \(/],
    [['', 2], /hash_ids holds "" \(/],
    [[[1], 2], /hash_ids holds a list or an object \(/],
    [[null, 2], /hash_ids holds null \(/],
  ])('hash ids %j', async (hash_ids, message) => {
    const row = { timestamp: 0, input_length: 600, output_length: 2, hash_ids: [0, 1] };
    const trace = await readText(lines(row, { ...row, hash_ids }));
    expect(trace.rejected).toBe(1);
    expect(trace.diagnostics[0]).toMatchObject({ code: 'VRAM606', path: 'standard input:2' });
    expect(trace.diagnostics[0]!.message).toMatch(message);
  });

  it('names the first ten and counts the rest', async () => {
    const trace = await readText([azure, ...good, ...Array(15).fill('x,1,1')].join('\n'));
    expect(trace.rejected).toBe(15);
    expect(trace.diagnostics).toHaveLength(11);
    expect(trace.diagnostics.at(-1)!.message).toBe('15 of 35 rows were rejected; the first 10 are named');
  });

  it('shows control characters as escapes', async () => {
    const trace = await readText([azure, ...good, '\u001b[31m\u202eevil,1,1'].join('\n'));
    expect(trace.diagnostics[0]!.message).toContain('\\u001b[31m\\u202eevil');
  });

  it('quoted values are values', async () => {
    const trace = await readText([azure, `"${at(3)}","7",9`].join('\n'));
    expect(trace.workload.requests[0]).toMatchObject({ promptTokens: 7, outputTokens: 9 });
  });

  it.each([
    [{ prompt: 5 }, /not a list of segments/],
    [{ prompt: [{ from: 1 }] }, /not \{"range"/],
    [{ prompt: [{ range: [5, 1] }] }, /runs backwards/],
    [{ prompt: [{ range: [-1, 1] }] }, /token ids/],
    [{ prompt: [{ range: [0, 2 ** 51] }] }, /token ids/],
    [{ prompt: [] }, /prompt is empty/],
    [{ input: 1, output: 5, max_tokens: 4 }, /max_tokens is 4, less than the output/],
    [{ input: 1, priority: 1.5 }, /priority/],
    [{ input: 1, salt: {} }, /salt/],
    [{ input: 1, id: 'a' }, /id a is also in line 1/],
    [{ input: 1, arrival: 'soon' }, /arrival is soon/],
    [{ input: 1, arrival: -2 }, /arrival is -2 \(negative\)/],
    [{ input: 1, output: -1 }, /output is -1/],
  ])('our own: %j', async (row, message) => {
    const trace = await readText(lines({ id: 'a', input: 3, output: 2 }, { output: 1, ...row }));
    expect(trace.diagnostics[0]).toMatchObject({ code: 'VRAM606', path: 'standard input:2' });
    expect(trace.diagnostics[0]!.message).toMatch(message);
  });
});

describe('noted', () => {
  it('rows out of order are sorted, equal times as in the file', async () => {
    const trace = await readText([azure, `${at(5)},1,1`, `${at(2)},2,1`, `${at(5)},3,1`, `${at(2)},4,1`].join('\n'));
    expect(trace.workload.requests.map(({ promptTokens, arrival }) => [promptTokens, arrival])).toEqual([
      [2, 0],
      [4, 0],
      [1, 3],
      [3, 3],
    ]);
    expect(trace.diagnostics).toMatchObject([{ severity: 'note', code: 'VRAM608' }]);
  });

  it('an output of 0 is taken as 1', async () => {
    const trace = await readText([azure, ...good, `${at(30)},5,0`].join('\n'));
    expect(trace.workload.requests.at(-1)!.outputTokens).toBe(1);
    expect(trace.diagnostics).toMatchObject([{ severity: 'note', code: 'VRAM610' }]);
    expect(trace.diagnostics[0]!.message).toMatch(/^1 request .*\(line 22\)$/);
  });

  it('hash ids that are fewer or more than the prompt has blocks', async () => {
    const row = (hash_ids: number[]) => ({ timestamp: 0, input_length: 1000, output_length: 2, hash_ids });
    const trace = await readText(lines(row([0, 1]), row([0]), row([0, 1, 2])));
    const [, few, many] = trace.workload.requests;
    expect(few!.prompt.slice(0, 2)).toEqual([0, 512]);
    expect(few!.prompt[3]! - few!.prompt[2]!).toBe(488);
    expect(many!.prompt).toEqual([0, 1000]);
    expect(trace.diagnostics.map(({ code }) => code)).toEqual(['VRAM611', 'VRAM611']);
  });

  it('a measured run with two clocks uses one of them', async () => {
    const row = (arrival_time: number, queued_ts?: number) => ({
      input_toks: 1,
      output_toks: 1,
      arrival_time,
      queued_ts,
    });
    const both = await readText(lines(row(1000, 5), row(1001, 7)));
    expect(both.workload.requests.map(({ arrival }) => arrival)).toEqual([0, 2]);
    const one = await readText(lines(row(1000, 5), row(1001)));
    expect(one.workload.requests.map(({ arrival }) => arrival)).toEqual([0, 1]);
    // More rows than a call has room for arguments.
    const many = Array.from({ length: 200_000 }, (_, at) => JSON.stringify(row(1000 + at, at > 0 ? 5 : undefined)));
    expect((await readText(many.join('\n'))).workload.requests.at(-1)!.arrival).toBe(199_999);
  });
});

describe('blank lines', () => {
  const many = '\n'.repeat(3_000_000);

  it.each([
    ['CSV', `${many}${azure}\n${good[0]}\n${many}${good[1]}\nx,1,1\n`, 6_000_004],
    ['a byte order mark and CSV', `\ufeff${many}${azure}\n${good[0]}\n${many}${good[1]}\nx,1,1\n`, 6_000_004],
    [
      'JSON lines',
      `${many}{"input":1,"output":1}\n \r\n${many}{"input":2,"output":1}\n{"input":-1,"output":1}`,
      6_000_004,
    ],
    ['a list', `${many}[{"input":1,"output":1},${many}{"input":2,"output":1},\n{"input":-1,"output":1}]`, 6_000_002],
  ])('before and between the rows of %s are skipped, and counted as lines', async (_, text, line) => {
    for (const pieceBytes of [2 ** 18, 999_983]) {
      const trace = await readText(text, {}, pieceBytes);
      expect(trace.workload.requests).toHaveLength(2);
      expect(trace.diagnostics.map(({ path }) => path)).toEqual([`standard input:${line}`]);
    }
  });

  it.each([
    ['at the start', ''],
    ['after a header', `${azure}\n`],
    ['in a list', '[{"conversations":[]},\n'],
  ])('without end %s are refused', async (_, start) => {
    async function* endless(): AsyncIterable<Buffer> {
      yield Buffer.from(start);
      for (;;) yield Buffer.alloc(2 ** 20, '\n');
    }
    const { diagnostics } = await refusal(readTrace('-', { stdinChunks: endless() }));
    expect(diagnostics[0]).toMatchObject({ code: 'VRAM604', message: 'there are more than 16 MiB of blank lines' });
  });

  it('alone are no trace', async () => {
    const { diagnostics } = await refusal(readText(many));
    expect(diagnostics[0]).toMatchObject({ code: 'VRAM601', message: 'standard input holds nothing but blank lines' });
  });
});

it('reads in pieces of one byte', async () => {
  const text = Buffer.from([azure, ...good].join('\r\n'));
  const trace = await readTrace('-', { stdinChunks: pieces(text, 1) });
  expect([trace.workload.requests.length, trace.diagnostics.length]).toEqual([20, 0]);
});
