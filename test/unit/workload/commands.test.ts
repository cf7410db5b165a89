// Workloads in the commands that name presets, and a user's own workload file.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run as completion } from '../../../src/commands/completion.ts';
import { run as list } from '../../../src/commands/list.ts';
import { run as schema } from '../../../src/commands/schema.ts';
import { run as show } from '../../../src/commands/show.ts';
import type { Io } from '../../../src/io.ts';
import { parseWorkloadRef } from '../../../src/load/traces/reference.ts';
import { refusal } from './helpers.ts';

async function output(
  command: (argv: readonly string[], io: Io) => Promise<number>,
  ...argv: string[]
): Promise<string> {
  let text = '';
  const io: Io = {
    out: (more) => {
      text += more;
    },
    err: () => {},
    env: {},
    columns: 100,
    colour: false,
    errColour: false,
    errIsTerminal: false,
    cwd: process.cwd(),
  };
  await command(argv, io);
  return text;
}

describe('commands', () => {
  it('list', async () => {
    const { result } = JSON.parse(await output(list, 'workloads', '--json'));
    expect(result.workloads).toContainEqual({
      id: 'alpaca',
      name: 'Alpaca instructions',
      arrivals: 'poisson',
      rate: 30,
      meanInputTokens: 19.31,
      meanOutputTokens: 58.45,
    });
    expect(await output(list, 'workloads')).toMatch(/^alpaca +poisson +19 +58 +Alpaca instructions$/m);
  });

  it('show', async () => {
    expect(await output(show, 'workload', 'alpaca')).toMatch(/sources:\n {2}- .*PagedAttention/);
    expect((await refusal(output(show, 'workload', 'alpcaa'))).diagnostics[0]!.hint).toBe('did you mean alpaca?');
  });

  it('schema and completion', async () => {
    expect(JSON.parse(await output(schema, 'workload')).properties.zipf.description).toContain('exponent');
    expect(await output(completion, '--names', 'workloads')).toContain('alpaca\n');
  });
});

describe('a workload file', () => {
  const file = (text: string): string => {
    const path = join(mkdtempSync(join(tmpdir(), 'vram-workload-')), 'mine.yaml');
    writeFileSync(path, text);
    return path;
  };

  it('has the fields of a preset', async () => {
    const path = file('arrivals: closed\nconcurrency: 5\ninput: 10\noutput: lognormal(20, 0.5)\nrequests: 30\n');
    const { workload } = await parseWorkloadRef(path, {}, {});
    expect([workload.requests.length, workload.concurrency]).toEqual([30, 5]);
  });

  it('is refused with the place of what is wrong', async () => {
    const { diagnostics } = await refusal(parseWorkloadRef(file('rate: 1\ninptu: 10\noutput: 5\n'), {}, {}));
    expect(diagnostics[0]!.path).toMatch(/mine\.yaml:2:1$/);
    expect(diagnostics[0]!.hint).toBe('did you mean input?');
  });

  it.each([
    ['rate: -1\ninput: 10\noutput: 5\n', 'rate: is "-1", expected a number from 0.000001 to 1000000', '1:7'],
    ['rate: .nan\ninput: 10\noutput: 5\n', 'rate: expected number or string, received NaN', '1:7'],
    ['rate: 1\ninput: 10\noutput: nothing(5)\n', /^output: is "nothing\(5\)", no distribution \(forms: 512/, '3:9'],
    ['rate: 1\ninput: 10\noutput: 5\nzipf: 1\n', 'zipf: needs prefixes', '4:7'],
    ['rate: 1\ninput: 2e9\noutput: 5\n', /^input: is "2000000000", above 16,777,216/, '2:8'],
    ['rate: 1\nprefixes: 3x2e9\ninput: 1\noutput: 5\n', /^prefixes: is "3x2e9", above 16,777,216/, '2:11'],
    ['rate: 1\ninput: 1\noutput: 5\nfoo: 1\n', 'foo: unknown key', '4:1'],
    ['rate: 1\ninput: 1\noutput: 5\n__proto__: 1\n', '__proto__: unknown key', '4:1'],
  ])('%j: %s', async (text, message, place) => {
    const { diagnostics } = await refusal(parseWorkloadRef(file(text), {}, {}));
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]!.message).toMatch(message);
    expect(diagnostics[0]!.path).toMatch(new RegExp(`mine\\.yaml:${place}$`));
    expect(diagnostics[0]!.hint).toBeUndefined();
  });
});
