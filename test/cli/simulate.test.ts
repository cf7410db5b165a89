// `vram simulate` as a user runs it: what it prints in each form, the files it writes, exit codes, and what it refuses.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CurveResult, NamedRun, SeveralRuns, SimulateOutput, SingleRun } from '../../src/plan/simulate-output.ts';
import { simulateOutputSchema } from '../../src/plan/simulate-schema.ts';
import { expectCalm, expectRefused, put, type Ran, scratch, shell, vram } from './run.ts';

/** Blocks alone: no model, no plan, a step lasts 1. */
const blocks = [
  'simulate',
  '--kv-group',
  'full',
  '--num-gpu-blocks',
  '200',
  '--max-model-len',
  '2048',
  '--step-time',
  '1',
];
const model = ['simulate', '-m', 'llama-3.1-8b', '-g', 'rtx4090', '--max-model-len', '8192'];
const chat = 'poisson:rate=8,input=lognormal(160,0.7),output=lognormal(120,0.7),requests=120';

function parsed<Result extends SimulateOutput['result']>(ran: Ran): SimulateOutput<Result> {
  expectCalm(ran);
  const output = JSON.parse(ran.out) as SimulateOutput<Result>;
  const checked = simulateOutputSchema.safeParse(output);
  expect(checked.error?.issues).toBeUndefined();
  return output;
}

function expectSound(run: NamedRun): void {
  const shares = Object.values(run.memory.shares);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
  expect(run.requests.finished + run.requests.rejected).toBe(run.requests.total);
  expect(run.prefixCache.hitTokens).toBeLessThanOrEqual(run.prefixCache.queriedTokens);
}

describe.concurrent('the table', () => {
  const says = [
    'llama-3.1-8b, 8.03B, bfloat16',
    'on NVIDIA GeForce RTX 4090 with vLLM',
    'SERVED  120 of 120 requests',
    'token states',
    'blocks used',
    'Prefix cache',
    'Preemptions',
    'Latency',
    'TTFT',
  ];

  it('says what happened in 80 columns, without colour in a pipe', async () => {
    const ran = await vram([...model, '--workload', chat, '--no-advice']);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    for (const part of says) expect(ran.out).toContain(part);
    expect(ran.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(ran.out).not.toMatch(/NaN|Infinity|[ \t]$/m);
  });

  it('reads the same in colour', async () => {
    const args = [...model, '--workload', chat, '--no-advice'];
    const [plain, coloured, none] = await Promise.all([
      vram(args),
      vram(args, { env: { FORCE_COLOR: '1' } }),
      vram(args, { env: { FORCE_COLOR: '1', NO_COLOR: '1' } }),
    ]);
    expect(coloured.out).not.toBe(plain.out);
    expect(coloured.out.replace(/\u001b\[\d+m/g, '')).toBe(plain.out);
    expect(none.out).toBe(plain.out);
  });

  it('sets several policies side by side', async () => {
    const ran = await vram([
      ...blocks,
      '--workload',
      chat,
      '--policy',
      'paged,v0,nano,token,radix,orca-max,orca-pow2,orca-oracle,slots,best-fit,static',
    ]);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
    for (const policy of ['paged', 'v0', 'radix', 'orca-max', 'static-batching'])
      expect(ran.out).toMatch(new RegExp(`^${policy} `, 'm'));
  });

  it('ends with advice that was simulated', async () => {
    const ran = await vram([...model, '--workload', 'poisson:rate=30,input=400,output=400,requests=300']);
    expectCalm(ran);
    expect(ran.out).toMatch(/Try \(each one simulated\)\n1\. --[a-z-]+ \S.*\n {3}\S.* -> /);
  });

  it('shows names from outside harmless', async () => {
    const row = JSON.stringify({ id: '\u001b[31mred', arrival: 0, input: 4000, output: 4 });
    put('hostile.jsonl', `${row}\n${JSON.stringify({ id: 'fine', arrival: 0, input: 20, output: 4 })}\n`);
    const ran = await vram([...blocks, '--workload', 'hostile.jsonl']);
    expectCalm(ran);
    expect(ran.out).toContain('1 rejected');
    expect(ran.out).toContain('\\x1b[31mred');
  });
});

describe.concurrent('JSON', () => {
  it('is the contract, and the same bytes every time', async () => {
    const args = [...model, '--workload', chat, '--json'];
    const [first, second] = await Promise.all([vram(args), vram(args)]);
    expect(second.out).toBe(first.out);
    const { result, input } = parsed<SingleRun>(first);
    expectSound(result);
    expect(input.workload).toMatchObject({ requests: 120, concurrency: null });
    expect(result.requests).toMatchObject({ total: 120, finished: 120, rejected: 0 });
    expect(result.perRequestCrc32).toBeNull();
    expect(result.latency.estimate).not.toBe('fixed');
  });

  it('does not depend on the number of threads', async () => {
    const args = [
      ...blocks,
      '--workload',
      'poisson:rate=3,input=200,output=50,requests=1500',
      '--sweep',
      'max-num-seqs=8,16,32',
      '--json',
    ];
    const [one, four] = await Promise.all([vram([...args, '--jobs', '1']), vram([...args, '--jobs', '4'])]);
    expect(four.out).toBe(one.out);
    const { result } = parsed<SeveralRuns>(one);
    expect(result.runs.map(({ settings }) => settings)).toEqual([8, 16, 32].map((n) => ({ 'max-num-seqs': n })));
    for (const run of result.runs) expectSound(run);
  });

  it('counts the null block in --num-gpu-blocks, and steps with --step-time 1', async () => {
    put('one.jsonl', `${JSON.stringify({ id: 'a', arrival: 0, input: 16, output: 3 })}\n`);
    const { result } = parsed<SingleRun>(await vram([...blocks, '--workload', 'one.jsonl', '--json']));
    expect(result.pool.numBlocks).toBe(200);
    expect(result.steps).toBe(3);
    expect(result.scheduledTokens).toBe(18);
    expect(result.perRequestCrc32).toBe(crc32('a,0,2'));
  });

  it('takes the pool from the plan', async () => {
    const plan = JSON.parse((await vram(['plan', ...model.slice(1), '--json'])).out);
    const { result, input } = parsed<SingleRun>(await vram([...model, '--workload', chat, '--json']));
    expect(input.poolSource).toBe('plan');
    expect(result.pool.numBlocks).toBe(plan.result.kvCache.numBlocks);
    expect(result.pool.bytesPerBlock).toBe(plan.result.kvCache.bytesPerBlock);
  });

  it('sweeps what a plan depends on', async () => {
    const args = [...model, '--workload', chat, '--sweep', 'gpu-memory-utilization=0.5,0.85,0.95', '--json'];
    const ran = await vram(args);
    const { result } = parsed<SeveralRuns>(ran);
    const [less, more] = result.runs.map(({ pool }) => pool.numBlocks);
    expect(more).toBeGreaterThan(less!);
    expect(result.refused).toHaveLength(1);
    expect(result.refused[0]!.reason).toContain('gpu_memory_utilization');
    expect(ran.code).toBe(1);
  });

  it('carries the other forms', async () => {
    const forms = await Promise.all(
      ['yaml', 'csv', 'markdown', 'svg', 'html'].map((form) => vram([...blocks, '--workload', chat, '--format', form])),
    );
    for (const ran of forms) {
      expectCalm({ ...ran, out: ran.out.replaceAll('\r', '') });
      expect(ran.code).toBe(0);
    }
    const [yaml, csv, markdown, svg, html] = forms.map(({ out }) => out);
    expect(yaml).toContain('meanUtilization:');
    expect(csv!.split('\r\n')[0]).toContain('memory.meanUtilization');
    expect(markdown).toContain('| token states |');
    expect(svg).toMatch(/^<svg /);
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toMatch(/<script|src=/);
  });
});

describe.concurrent('an existing command', () => {
  it('brings its scheduler options along, and only what has no effect is named', async () => {
    const rows = [5, 1].map((priority, i) => ({ id: `r${i}`, arrival: 0, input: 400, output: 20, priority }));
    put('priorities.jsonl', `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
    const line = 'vllm serve meta-llama/Llama-3.1-8B --max-model-len 8192 --max-num-seqs 1 --uvicorn-log-level info';
    const order = async (command: string): Promise<boolean> => {
      const file = `order-${command.length}.csv`;
      const args = ['simulate', '-g', 'l4', '-w', 'priorities.jsonl', '--from-command', command, '--per-request', file];
      const ran = await vram([...args, '--no-advice']);
      expect(ran.code).toBe(0);
      expect(ran.said).toContain('without effect on this plan: --uvicorn-log-level (');
      const [first, second] = readFileSync(join(scratch, file), 'utf8').trim().split('\r\n').slice(1);
      return Number(first!.split(',')[4]) < Number(second!.split(',')[4]);
    };
    expect(await order(line)).toBe(true);
    expect(await order(`${line} --scheduling-policy priority`)).toBe(false);
  });
});

describe.concurrent('cache-only', () => {
  it('replays the blocks of a trace', async () => {
    const row = (hash_ids: number[]) =>
      JSON.stringify({ timestamp: 0, input_length: hash_ids.length * 512 - 100, output_length: 1, hash_ids });
    put('blocks.jsonl', `${[[1, 2], [1, 2, 3], [4], [1, 2]].map(row).join('\n')}\n`);
    const ran = await vram([
      'simulate',
      '--cache-only',
      '--workload',
      'blocks.jsonl',
      '--capacity-blocks',
      '3,inf',
      '--eviction',
      'lru,fifo',
      '--json',
    ]);
    const { result } = parsed<CurveResult>(ran);
    expect(result.curve.map(({ hitBlocks }) => hitBlocks)).toEqual([2, 4, 2, 4]);
    expect(result.curve[0]).toMatchObject({ eviction: 'lru', capacityBlocks: 3, queriedBlocks: 8 });
    expect(result.counting).toContain('512');
  });
});

describe.concurrent('files', () => {
  it('draws the timeline as CSV, SVG and HTML', async () => {
    await Promise.all(
      ['csv', 'svg', 'html'].map(async (form) => {
        const ran = await vram([
          ...blocks,
          '--workload',
          chat,
          '--policy',
          'paged,orca-max',
          '--timeline',
          `over-time.${form}`,
        ]);
        expect(ran.code).toBe(0);
      }),
    );
    const [head, ...rows] = readFileSync(join(scratch, 'over-time.csv'), 'utf8').trim().split('\r\n');
    expect(head).toMatch(/^run,t,usedBlocks,cachedBlocks,freeBlocks,/);
    expect(new Set(rows.map((row) => row.split(',')[0]))).toEqual(new Set(['paged', 'orca-max']));
    expect(readFileSync(join(scratch, 'over-time.svg'), 'utf8')).toContain('token states');
    expect(readFileSync(join(scratch, 'over-time.html'), 'utf8')).toContain('<svg');
  });

  it('writes every block that is taken and given back', async () => {
    const ran = await vram([...blocks, '--workload', chat, '--events', 'events.jsonl', '--json']);
    const { result } = parsed<SingleRun>(ran);
    const events = readFileSync(join(scratch, 'events.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { t: number; event: string; block?: number });
    const count = (name: string): number => events.filter(({ event }) => event === name).length;
    expect(count('arrived')).toBe(120);
    expect(count('finished')).toBe(120);
    expect(count('taken')).toBe(count('freed'));
    expect(count('evicted')).toBe(result.prefixCache.evictions);
    expect(count('preempted')).toBe(result.preemptions.recompute);
    const held = new Set<number>();
    for (const { event, block } of events) {
      if (event === 'taken') {
        expect(held.has(block!)).toBe(false);
        held.add(block!);
      } else if (event === 'freed') held.delete(block!);
    }
    expect(held.size).toBe(0);
    const times = events.map(({ t }) => t);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(readdirSync(scratch).filter((name) => name.startsWith('events.jsonl.'))).toEqual([]);
  });

  it('writes a line a request, in the order of the file', async () => {
    const rows = [
      { id: 'late', arrival: 5, input: 20, output: 4 },
      { id: 'early', arrival: 0, input: 20, output: 4 },
      { id: '=long', arrival: 1, input: 4000, output: 4 },
    ];
    put('unsorted.jsonl', `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
    const ran = await vram([...blocks, '--workload', 'unsorted.jsonl', '--per-request', 'requests.csv']);
    expect(ran.code).toBe(0);
    const lines = readFileSync(join(scratch, 'requests.csv'), 'utf8').trim().split('\r\n');
    expect(lines.map((line) => line.split(',')[0])).toEqual(['id', 'late', 'early', "'=long"]);
    expect(lines[2]).toMatch(/^early,0,20,4,/);
    expect(lines[3]).toContain('max_model_len');
  });

  it.each([
    ['--timeline', 'nowhere/t.svg'],
    ['--events', 'nowhere/e.jsonl'],
    ['--per-request', 'nowhere/r.csv'],
    ['-o', 'nowhere/o.json'],
  ])('%s into a folder that is not there', async (option, file) => {
    expectRefused(await vram([...blocks, '--workload', chat, option, file]), 3, [`cannot write ${file}`]);
    expect(existsSync(join(scratch, 'nowhere'))).toBe(false);
  });
});

describe.concurrent('the highest rate', () => {
  it('is found by bisection, the same every time', async () => {
    const args = [
      ...model,
      '--workload',
      chat,
      '--find-max-rate',
      '--slo',
      'ttft_p99<500ms',
      '--slo',
      'tpot_mean<=40ms',
      '--json',
    ];
    const [first, second] = await Promise.all([vram(args), vram(args)]);
    expect(second.out).toBe(first.out);
    const { result } = parsed<SingleRun>(first);
    const { scale, failsAtScale, trials, slo } = result.maxRate!;
    expect(slo).toEqual(['ttft_p99<500ms', 'tpot_mean<=40ms']);
    expect(failsAtScale! / scale!).toBeLessThan(1.03);
    expect(failsAtScale! / scale!).toBeGreaterThan(1);
    expect(trials.find((trial) => trial.scale === scale)!.holds).toBe(true);
    expect(trials.find((trial) => trial.scale === failsAtScale)!.holds).toBe(false);
    expect(result.latency.ttftSeconds.p99).toBeLessThan(0.5);
  });

  it('that no rate holds is told by the exit code', async () => {
    const ran = await vram([
      ...model,
      '--workload',
      'poisson:rate=1,input=100,output=20,requests=5',
      '--find-max-rate',
      '--slo',
      'tpot_mean<1us',
    ]);
    expectCalm(ran);
    expect(ran.code).toBe(1);
    expect(ran.out).toContain('no rate that was tried holds');
  });
});

describe.concurrent('exit codes', () => {
  it('a requirement that does not hold', async () => {
    const args = [...blocks, '--workload', chat, '--require'];
    const [holds, fails] = await Promise.all([
      vram([...args, 'memory.peakUtilization<=1']),
      vram([...args, 'memory.peakUtilization<0.01']),
    ]);
    expect([holds.code, fails.code]).toEqual([0, 1]);
    expect(fails.said).toContain('requirement failed: memory.peakUtilization<0.01');
  });

  it('for CI, as annotations and as JUnit', async () => {
    const args = [
      ...blocks,
      '--workload',
      chat,
      '--require',
      'requests.rejected==0',
      '--require',
      'steps<3',
      '--format',
    ];
    const [github, junit] = await Promise.all([vram([...args, 'github']), vram([...args, 'junit'])]);
    expect([github.code, junit.code]).toEqual([1, 1]);
    expect(github.out).toMatch(/^::notice title=vram simulate::paged.*120 of 120/);
    expect(github.out).toContain('::error title=vram requirement::steps<3 does not hold');
    expect(junit.out).toContain('tests="3" failures="1"');
    expect(junit.out).toContain('classname="vram.simulate" name="requests.rejected==0"/>');
  });

  it('nothing could be served', async () => {
    const ran = await vram([...blocks, '--workload', 'poisson:rate=1,input=4000,output=4,requests=3']);
    expectCalm(ran);
    expect(ran.code).toBe(1);
    expect(ran.out).toContain('NOTHING SERVED');
    expect(ran.out).toContain('3 rejected: the prompt has 4000 tokens, max_model_len is 2048 (first r0)');
  });

  it('a request larger than the pool is rejected once, the others are served', async () => {
    const rows = [
      { id: 'big', arrival: 0, input: 1500, output: 400 },
      { id: 'small', arrival: 0, input: 100, output: 10 },
    ];
    put('big.jsonl', `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
    const small = blocks.map((word) => (word === '200' ? '100' : word));
    const { result } = parsed<SingleRun>(await vram([...small, '--workload', 'big.jsonl', '--json']));
    expect(result.requests).toMatchObject({ finished: 1, rejected: 1 });
    expect(result.requests.rejections[0]).toMatchObject({ count: 1, first: 'big' });
  });

  it('a model that does not fit', async () => {
    const ran = await vram(['simulate', '-m', 'llama-3.1-70b', '-g', 'rtx4090', '--workload', chat]);
    expectCalm(ran);
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/^NOT RUN {2}paged: /m);
  });

  it('what the engine refuses before it loads anything stays refused with a pool that is given', async () => {
    const args = ['simulate', '--workload', chat, '--num-gpu-blocks', '500', '--no-advice', '--format', 'csv'];
    const [heads, memory] = await Promise.all([
      vram([...args, '-m', 'llama-3.1-8b', '-g', '3x l4', '--tp', '3']),
      vram([...args, '-m', 'llama-3.1-70b', '-g', 'l4']),
    ]);
    expect([heads.code, memory.code]).toEqual([1, 0]);
    expect(heads.said).toContain('not run: paged: Total number of attention heads (32) must be divisible');
  });

  it('options without effect are told', async () => {
    const old = [...model, '--engine', 'vllm@0.10.2', '--watermark', '0.1', '--workload', chat, '--no-advice'];
    const [release, bytes] = await Promise.all([
      vram(old),
      vram([...blocks, '--workload', chat, '--kv-offloading-size', '4']),
    ]);
    expect(release.said).toContain('warning: --watermark comes with 0.24.0: vLLM 0.10.2 does not have it');
    expect(bytes.said).toContain('warning: --kv-offloading-size is without effect');
  });

  it('a reader that stops is no error', async () => {
    const ran = await shell(`$VRAM ${blocks.join(' ')} --workload '${chat}' --json | head -1`);
    expect(ran).toMatchObject({ code: 0, out: '{\n', said: expect.not.stringMatching(/EPIPE|fault|error/) });
  });

  it('an arrival in the far future is waited for at once', async () => {
    const rows = [0, 1e12].map((arrival) => ({ id: `at${arrival}`, arrival, input: 40, output: 5 }));
    put('far.jsonl', `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
    const { result } = parsed<SingleRun>(await vram([...blocks, '--workload', 'far.jsonl', '--json']));
    expect(result).toMatchObject({ steps: 10, makespanSeconds: 1e12 + 4 });
    expect(result.perRequestCrc32).toBe(crc32('at0,0,4\nat1000000000000,1000000000000,1000000000004'));
  });

  it('rows that were left out are told', async () => {
    put(
      'holes.csv',
      'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,40,4\n2023-11-16 18:15:47.0,-5,4\n2023-11-16 18:15:48.0,40,4\n',
    );
    const ran = await vram([...blocks, '--workload', 'holes.csv']);
    expect(ran.code).toBe(0);
    expect(ran.said).toMatch(/warning: row rejected: .*holes\.csv:3/);
  });
});

describe.concurrent('what is refused', () => {
  it.each<[what: string, args: string[], says: (string | RegExp)[]]>([
    ['no workload', blocks, ['no workload is given', 'sharegpt', 'mooncake-conversation']],
    ['a workload that is not there', [...blocks, '--workload', 'sharegtp'], ['did you mean sharegpt']],
    ['no model', ['simulate', '--workload', chat], ['no model is given', '--num-gpu-blocks']],
    ['no GPU', ['simulate', '-m', 'llama-7b', '--workload', chat], ['no GPU is given']],
    [
      'an unknown policy',
      [...blocks, '--workload', chat, '--policy', 'orca-mx'],
      ['no policy "orca-mx"', 'did you mean orca-max'],
    ],
    [
      'an unknown eviction',
      [...blocks, '--workload', chat, '--eviction', 'slur'],
      ['no eviction', 'did you mean slru'],
    ],
    [
      'an unknown sweep',
      [...blocks, '--workload', chat, '--sweep', 'max-num-seq=1,2'],
      ['no key "max-num-seq"', 'max-num-seqs'],
    ],
    ['a sweep without values', [...blocks, '--workload', chat, '--sweep', 'block-size='], ['block-size=8,16,32']],
    [
      'a value of a sweep',
      [...blocks, '--workload', chat, '--sweep', 'block-size=16,none'],
      ['--sweep block-size', '"none"'],
    ],
    [
      'too many runs',
      [
        ...blocks,
        '--workload',
        chat,
        ...['max-num-seqs', 'block-size', 'limit'].flatMap((key) => ['--sweep', `${key}=1,2,3,4,5,6,7`]),
      ],
      ['more than 256 runs'],
    ],
    [
      'an unknown latency',
      [...blocks, '--workload', chat, '--find-max-rate', '--slo', 'tftt_p99<2s'],
      ['did you mean ttft_p99'],
    ],
    ['an objective that is none', [...blocks, '--workload', chat, '--find-max-rate', '--slo', 'fast'], ['ttft_p99<2s']],
    ['an objective without a search', [...blocks, '--workload', chat, '--slo', 'ttft_p99<2s'], ['--find-max-rate']],
    ['a search without an objective', [...blocks, '--workload', chat, '--find-max-rate'], ['--slo']],
    [
      'a search in a closed loop',
      [...blocks, '--workload', chat, '--concurrency', '4', '--find-max-rate', '--slo', 'ttft_p99<2s'],
      ['needs arrivals'],
    ],
    ['a rate of 0', [...blocks, '--workload', chat, '--rate', '0'], ['above 0']],
    ['a negative rate', [...blocks, '--workload', chat, '--rate', '-2x'], ['above 0']],
    ['an absurd rate', [...blocks, '--workload', chat, '--rate', '1e99x'], ['at most']],
    [
      'a rate and a closed loop',
      [...blocks, '--workload', chat, '--rate', '2x', '--concurrency', '4'],
      ['closed loop'],
    ],
    ['a limit of 0', [...blocks, '--workload', chat, '--limit', '0'], ['at least 1']],
    ['a pool of one block', ['simulate', '--num-gpu-blocks', '1', '--workload', chat], ['between 2 and']],
    ['a step time of 0', [...blocks, '--workload', chat, '--step-time', '0'], ['above 0']],
    ['a KV group', [...blocks, '--workload', chat, '--kv-group', 'sliding'], ['sliding:W']],
    ['a watermark of 1', [...blocks, '--workload', chat, '--watermark', '1'], ['below 1']],
    ['an unknown form', [...blocks, '--workload', chat, '--format', 'flags'], ['no format "flags"']],
    ['a timeline of no form', [...blocks, '--workload', chat, '--timeline', 't.png'], ['.csv, .svg or .html']],
    [
      'events of several runs',
      [...blocks, '--workload', chat, '--policy', 'paged,v0', '--events', 'e.jsonl'],
      ['--events is for one run'],
    ],
    [
      'requests of several runs',
      [...blocks, '--workload', chat, '--sweep', 'rate=1x,2x', '--per-request', 'r.csv'],
      ['--per-request is for one run'],
    ],
    [
      'an engine of cache-only',
      ['simulate', '--cache-only', '--workload', chat, '--events', 'e.jsonl'],
      ['neither engine nor clock'],
    ],
    ['an empty trace', [...blocks, '--workload', 'empty.csv'], ['empty.csv']],
    ['an unknown flag', [...blocks, '--workloads', chat], ['unknown option', '--workload']],
    [
      'a requirement on what is not there',
      [...blocks, '--workload', chat, '--require', 'memory.used<1'],
      ['names used', 'meanUtilization'],
    ],
  ])('%s', async (_what, args, says) => {
    put('empty.csv', '');
    expectRefused(await vram(args), 2, says);
  });
});

describe.concurrent('--run-config', () => {
  const config = {
    numBlocks: 64,
    blockSize: 16,
    maxNumSeqs: 4,
    maxNumBatchedTokens: 256,
    maxModelLen: 512,
    groups: [{ type: 'full' }],
  };
  const file = (expected: Record<string, number>, changes: object = {}): string =>
    JSON.stringify({
      format: 'vram-scheduler-runs/1.1',
      engine: 'vLLM 0.21.0',
      runs: [{ id: 'one', workload: 'run.jsonl', config: { ...config, ...changes }, expect: expected }],
    });
  const rows = [0, 1].map((i) =>
    JSON.stringify({ id: `r${i}`, arrival: 2 * i, prompt: [{ range: [0, 40] }], output: 3 }),
  );
  put('runs/run.jsonl', `${rows.join('\n')}\n`);

  it('counts every field of what is expected', async () => {
    put('runs/exact.json', file({ steps: 5, scheduledTokens: 52, prefixHitTokens: 32 }));
    const ran = await vram(['simulate', '--run-config', 'runs/exact.json#one', '--json']);
    expect(ran.code).toBe(0);
    const { result, input } = parsed<SingleRun>(ran);
    expect(input.engine.version).toBe('0.21.0');
    expect(result.counters).toMatchObject({
      steps: 5,
      idleSteps: 0,
      scheduledTokens: 52,
      prefixHitTokens: 32,
      preemptions: 0,
    });
    expect(result.counters!.perRequestCrc32).toBe(result.perRequestCrc32);
    expect(result.pool.numBlocks).toBe(64);
  });

  it('tells what differs', async () => {
    put('runs/wrong.json', file({ steps: 6 }));
    const ran = await vram(['simulate', '--run-config', 'runs/wrong.json']);
    expect(ran.code).toBe(1);
    expect(ran.said).toContain('one on 0.21.0 differs from what is expected: steps 5 instead of 6');
  });

  it.each<[what: string, args: () => string[], says: string[]]>([
    ['an unknown run', () => ['--run-config', `${put('runs/a.json', file({}))}#two`], ['no run "two"']],
    [
      'an unknown field',
      () => ['--run-config', put('runs/b.json', file({}, { blocksize: 3 }))],
      ['runs[0].config', 'blocksize'],
    ],
    [
      'a file of something else',
      () => ['--run-config', put('runs/c.json', '{"format":"other"}')],
      ['no file of scheduler runs'],
    ],
    ['no JSON', () => ['--run-config', put('runs/d.json', '{')], ['not JSON']],
    ['no file', () => ['--run-config', 'runs/none.json'], ['no such file']],
    [
      'options of its own',
      () => ['--run-config', put('runs/e.json', file({})), '--max-num-seqs', '3'],
      ['takes a run whole'],
    ],
  ])('%s', async (_what, args, says) => {
    expectRefused(await vram(['simulate', ...args()]), 2, says);
  });
});

/** As zlib computes it, bit by bit. */
function crc32(text: string): number {
  let crc = -1;
  for (const byte of Buffer.from(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ -1) >>> 0;
}
