// What a pool file names is found, or refused with its place and what would do.
import { describe, expect, it } from 'vitest';
import { openPool, poolPolicies } from '../../../src/commands/pool-open.ts';
import { poolWorkloads } from '../../../src/commands/pool-workloads.ts';
import { type InputError, isInputError } from '../../../src/diagnostics.ts';
import { quietIo } from '../../../src/io.ts';
import { resolvePool } from '../../../src/load/pool.ts';

const io = quietIo();

async function opened(text: string) {
  const spec = await resolvePool('-', { stdin: () => text });
  const pool = await openPool(spec, io);
  return { pool, policies: await poolPolicies(spec, spec.compare === 'all'), workloads: () => poolWorkloads(spec, io) };
}

const one = (entry: string, head = ''): string =>
  `gpu: a100-80gb\n${head}models: [{ model: llama-3.1-8b, workload: alpaca${entry} }]\n`;

describe('a pool', () => {
  it('puts the largest model where most room is, and keeps what the file says', async () => {
    const { pool } = await opened(`gpu: 2x a100-80gb
models:
  - { model: qwen3-0.6b }
  - { model: qwen3-14b }
  - { id: b, model: llama-3.1-8b }
  - { id: c, model: llama-3.1-8b, devices: [0] }
  - { model: qwen3-32b, options: { tp: 2 } }
`);
    // 32B takes both; c is on the first already, so that 14B goes to the second, b beside c (32 GB there then), the small one to 14B.
    expect(pool.members.map(({ member }) => [member.id, ...member.devices])).toEqual([
      ['qwen3-0.6b', 1],
      ['qwen3-14b', 1],
      ['b', 0],
      ['c', 0],
      ['qwen3-32b', 0, 1],
    ]);
  });

  it('takes policies with parameters of the file, each once, the chosen one first', async () => {
    const { policies } = await opened(
      one(
        '',
        'policy: [kvcached, static]\ncompare: all\npolicyOptions: { kvcached: { pageBytes: 4MiB, gpuUtilization: 0.9 } }\n',
      ),
    );
    expect(policies[0]).toMatchObject({ id: 'kvcached', pageBytes: 4 * 2 ** 20, gpuUtilization: 0.9 });
    expect(policies[1]!.id).toBe('static');
    expect(new Set(policies.map(({ id }) => id)).size).toBe(policies.length);
    expect(policies.length).toBeGreaterThanOrEqual(7);
  });

  it('gives models without a seed different ones, and moves arrivals within the span', async () => {
    const { workloads } = await opened(`gpu: a100-80gb
models:
  - { id: a, model: llama-3.1-8b, workload: { ref: alpaca, limit: 50 } }
  - { id: b, model: llama-3.1-8b, workload: { ref: alpaca, limit: 50 } }
  - { id: c, model: llama-3.1-8b, workload: { ref: alpaca, limit: 50, seed: 0 } }
  - { id: d, model: llama-3.1-8b, workload: { ref: alpaca, limit: 50, seed: 0, shift: 10 } }
`);
    const [a, b, c, d] = await workloads();
    expect(b!.workload).not.toEqual(a!.workload);
    expect(c!.workload).toEqual(a!.workload);
    const lengths = (of: typeof a): number[] =>
      of!.workload.requests.map(({ promptTokens }) => promptTokens).sort((x, y) => x - y);
    expect(lengths(d)).toEqual(lengths(a));
    expect(d!.description.fileOrder).toHaveLength(50);
  });

  it('loads weights on demand where they are not in memory, and by the behaviour that is named', async () => {
    expect((await opened(one(''))).pool.loadings).toEqual([]);
    expect((await opened(one(', weights: host', 'hostMemory: 64GiB\ndiskRate: 3e9\n'))).pool.loadings[0]).toMatchObject(
      {
        id: 'own',
        unloads: 'idle-lru',
        diskRate: 3e9,
        hostMemoryBytes: 64 * 2 ** 30,
      },
    );
    expect(
      (await opened(one('', 'loading: { preset: ollama, keepAliveSeconds: 60 }\n'))).pool.loadings[0],
    ).toMatchObject({
      id: 'ollama',
      keepAliveSeconds: 60,
    });
  });

  it.each([
    [one('').replace('llama-3.1-8b', 'llama-9b'), 'models.0', /llama-9b/],
    [one('').replace('a100-80gb', 'a101'), 'standard input', /a101/],
    [one(', engine: vllm@9.x'), 'models.0', /9\.x/],
    [one(', engine: ollama'), 'models.0', /planned for vLLM only/],
    [one(', quantization: fp3'), 'models.0', /fp3/],
    [
      one(', options: { max-num-sequence: 3 }'),
      'models.0.options.max-num-sequence',
      /VRAM731 .*did you mean max-num-seqs/,
    ],
    [one(', options: { rate: 3 }'), 'models.0.options.rate', /VRAM731 .*workload of the model/],
    [one(', options: { num-gpu-blocks: 30 }'), 'models.0.options', /VRAM731 .*minMemory and maxMemory/],
    [one(', options: { dp: 2 }'), 'models.0.options.dp', /VRAM731 .*once for each replica/],
    [one(', options: { max-model-len: many }'), 'models.0.options.max-model-len', /whole number/],
    [one(', options: { kv-cache-dtype: fp7 }'), 'models.0', /fp7/],
    [one(', devices: [3]'), 'models.0.devices', /VRAM732 .*GPU 3, and the last is GPU 0/],
    [one(', options: { tp: 2 }'), 'models.0', /VRAM732 .*needs 2 GPUs/],
    [one(', devices: [0], options: { tp: 2 }'), 'models.0.devices', /VRAM732/],
    [one(', shares: nobody'), 'models.0.shares', /VRAM734 .*nobody else/],
    [one('', 'policy: fair\n'), 'policy', /VRAM740 .*fair/],
    [one('', 'compare: [fair]\n'), 'compare', /VRAM740/],
    [one('', 'policyOptions: { fair: {} }\n'), 'policyOptions', /VRAM740/],
    [one('', 'policyOptions: { kvcached: { pages: 3 } }\ncompare: all\n'), 'policyOptions.kvcached', /VRAM741/],
    [
      one('', 'policyOptions: { kvcached: { pageBytes: 3MiB } }\ncompare: all\n'),
      'policyOptions.kvcached',
      /multiple of 2 MiB/,
    ],
    [one('', 'loading: teleport\n'), 'loading', /VRAM745/],
    [
      'gpu: l4\nmodels: [{ id: a, model: qwen3-0.6b, options: { gpu-memory-utilization: 0.6 } }, { id: b, model: qwen3-0.6b, options: { gpu-memory-utilization: 0.6 } }]\n',
      'models.0.options.gpu-memory-utilization',
      /VRAM733 .*1\.2 of it together/,
    ],
    [
      'gpu: l4\nmodels: [{ id: a, model: qwen3-0.6b, shares: b }, { id: b, model: qwen3-1.7b }]\n',
      'shares',
      /VRAM734 .*same weights/,
    ],
    [
      'gpu: l4\nmodels: [{ id: a, model: qwen3-0.6b, shares: { with: b, part: vision } }, { id: b, model: qwen3-0.6b }]\n',
      'shares',
      /VRAM734 .*part "vision"/,
    ],
  ])('%j is refused', async (text, place, says) => {
    const error = await opened(text).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(isInputError(error), String(error)).toBe(true);
    const [first] = (error as InputError).diagnostics;
    expect(`${first!.code} ${first!.message} ${first!.hint}`).toMatch(says);
    expect(first!.path).toContain(place);
  });

  it.each([
    ['gpu: l4\nmodels: [{ model: qwen3-0.6b }]\n', /VRAM735 .*has no workload/],
    [one('').replace('alpaca', 'no-such-trace.csv'), /no-such-trace/],
    [one('').replace('alpaca', '{ ref: alpaca, concurrency: 4, shift: 3 }'), /closed loop/],
  ])('%j is not run', async (text, says) => {
    const { workloads } = await opened(text);
    const error = (await workloads().catch((thrown: unknown) => thrown)) as InputError;
    const [first] = error.diagnostics;
    expect(`${first!.code} ${first!.message}`).toMatch(says);
    expect(first!.path).toContain('models.0.workload');
  });
});
