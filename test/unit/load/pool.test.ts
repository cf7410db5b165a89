// Pool files: what is read out of them, and what is said of each mistake, with its place.
import { describe, expect, it } from 'vitest';
import { type InputError, isInputError } from '../../../src/diagnostics.ts';
import { resolvePool } from '../../../src/load/pool.ts';
import type { PoolSpec } from '../../../src/spec/pool.ts';

function read(text: string): Promise<PoolSpec> {
  return resolvePool('-', { stdin: () => text });
}

async function refusal(text: string): Promise<string[]> {
  try {
    await read(text);
  } catch (error) {
    if (isInputError(error))
      return (error as InputError).diagnostics.map(({ code, message, path }) => `${code} ${path} ${message}`);
    throw error;
  }
  throw new Error('was read');
}

const two = `gpu: a100-80gb
models:
  - { model: llama-3.1-8b }
  - { model: qwen3-8b }
`;

describe('a pool file', () => {
  it('needs GPUs and models; the rest has defaults', async () => {
    const spec = await read(two);
    expect(spec).toMatchObject({
      file: 'standard input',
      gpu: 'a100-80gb',
      policies: ['static'],
      compare: [],
      seed: 0,
    });
    expect(spec.models[0]).toEqual({
      id: 'llama-3.1-8b',
      model: 'llama-3.1-8b',
      options: {},
      priority: 0,
      minBytes: 0,
      maxBytes: null,
      objective: {},
      weights: 'resident',
      preloadAt: [],
      shares: [],
      adapters: 0,
    });
  });

  it('reads sizes, rates, lists and their short forms', async () => {
    const spec = await read(`name: Ours
gpu: 2x a100-80gb
gpuMemory: 79.1GiB
engine: vllm@0.19.0
policy: [kvcached, static]
compare: all
policyOptions: { kvcached: { pageBytes: 4MiB } }
loading: { preset: ollama, keepAliveSeconds: 60 }
hostMemory: 128GiB
seed: 7
models:
  - id: a
    model: llama-3.1-8b
    options: { max-model-len: 8192, enforce-eager: true }
    devices: [0]
    workload: { ref: sharegpt, rate: 2, shift: 30, limit: 10, workloadModel: 3 }
    priority: 2
    minMemory: 512MiB
    maxMemory: 8GiB
    slo: { ttft: 1, scale: 4 }
    weights: host
    preloadAt: 20
    lora: 8 adapters
    shares: [b, { with: eyes, part: vision }]
  - { id: b, model: llama-3.1-8b, workload: alpaca }
`);
    expect(spec.policies).toEqual(['kvcached', 'static']);
    expect(spec.loadings).toEqual([{ preset: 'ollama', keepAliveSeconds: 60 }]);
    expect(spec.hostMemoryBytes).toBe(128 * 2 ** 30);
    expect(spec.models[0]).toMatchObject({
      workload: { ref: 'sharegpt', rate: { kind: 'perSecond', requests: 2 }, shiftSeconds: 30, workloadModel: '3' },
      minBytes: 512 * 2 ** 20,
      maxBytes: 8 * 2 ** 30,
      objective: { ttftSeconds: 1, scale: 4 },
      preloadAt: [20],
      adapters: 8,
      shares: [{ with: 'b' }, { with: 'eyes', part: 'vision' }],
    });
    expect(spec.models[1]!.workload).toEqual({ ref: 'alpaca' });
  });

  it.each([
    ['gpu: l4\nmodels: []\n', /^VRAM101 standard input:2:9 models: names no model/],
    ['gpu: l4\n', /models: /],
    [`${two}gpu-memory: 3GiB\n`, /^VRAM101 standard input:5:1 gpu-memory: unknown key/],
    [
      `${two}  - { model: qwen3-8b }\n`,
      /standard input:5:\d+ models\.2\.model: is the same as models\.1: give each an id/,
    ],
    ['gpu: l4\nmodels: [{ id: a, model: x }, { id: a, model: y }]\n', /models\.1\.id: is the id of models\.0 too/],
    [
      'gpu: l4\nmodels: [{ model: x, minMemory: 4G }]\n',
      /models\.0\.minMemory: is not a size: write a number and a unit/,
    ],
    [
      'gpu: l4\nmodels: [{ model: x, minMemory: 4GiB, maxMemory: 1GiB }]\n',
      /^VRAM730 .*models\.0\.maxMemory .* keeps more than/,
    ],
    ['gpu: l4\nmodels: [{ model: x, devices: [0, 0] }]\n', /devices: names a GPU twice/],
    ['gpu: l4\nmodels: [{ model: x, devices: [-1] }]\n', /devices\.0: must be at least 0/],
    ['gpu: l4\nmodels: [{ model: x, priority: .nan }]\n', /priority: /],
    ['gpu: l4\nmodels: [{ model: x, slo: { ttft: -1 } }]\n', /slo\.ttft: must be above 0/],
    ['gpu: l4\nmodels: [{ model: x, weights: tape }]\n', /weights: .*resident/],
    ['gpu: l4\nmodels: [{ model: x, lora: many }]\n', /lora: is written as "8 adapters"/],
    ['gpu: l4\nmodels: [{ model: x, shares: x }]\n', /shares: names the model itself/],
    ['gpu: l4\nmodels: [{ model: x, workload: { ref: chat, rate: 2/m } }]\n', /rate: is not a rate/],
    [
      'gpu: l4\nmodels: [{ model: x, workload: { ref: chat, rate: 1, concurrency: 2 } }]\n',
      /a closed loop has no rate/,
    ],
    ['gpu: l4\ngpuMemoryUtilization: 1.5\nmodels: [{ model: x }]\n', /gpuMemoryUtilization: must be at most 1/],
    ['- a\n', /expected a mapping/],
    ['gpu: [\n', /^VRAM102/],
  ])('%j is refused', async (text, says) => {
    const all = await refusal(text);
    expect(
      all.some((line) => says.test(line)),
      all.join('\n'),
    ).toBe(true);
  });

  it('refuses no name and what is not there', async () => {
    await expect(resolvePool(' ', {})).rejects.toMatchObject({ diagnostics: [{ code: 'VRAM730' }] });
    await expect(resolvePool('no/such.yaml', {})).rejects.toMatchObject({ diagnostics: [{ code: 'VRAM111' }] });
  });
});
