// What people who write their first pool file get wrong, as they see it: one message with its place in the file and what helps. And what
// the two commands say of the same pool agrees.
import { describe, expect, it } from 'vitest';
import type { SharedOutput } from '../../src/plan/shared-output.ts';
import type { PoolOutput } from '../../src/plan/sharing/output.ts';
import { expectCalm, expectRefused, put, vram } from './run.ts';

const small = 'model: qwen3-0.6b, options: { max-model-len: 2048 }';

describe('a pool file with a mistake', () => {
  it.each([
    ['gpu', `gpu: l44\nmodels: [{ ${small} }]`, 'VRAM105', 'gpu.yaml: gpu (--gpu)'],
    ['every-policy', `gpu: l4\npolicy: all\nmodels: [{ ${small} }]`, 'VRAM740', 'compare: all puts every policy'],
    [
      'underscores',
      'gpu: l4\nmodels: [{ model: qwen3-0.6b, options: { max_model_len: 2048 } }]',
      'VRAM101',
      'max-model-len',
    ],
    [
      'value',
      'gpu: l4\nmodels: [{ model: qwen3-0.6b, options: { max-model-len: lots } }]',
      'VRAM141',
      '--max-model-len takes a whole number, not "lots" (value.yaml: models.0.options.max-model-len)',
    ],
    ['no-gpu', `gpu: 2x l4\nmodels: [{ ${small}, devices: [] }]`, 'VRAM101', 'names no GPU'],
    [
      'far-gpu',
      `gpu: 2x l4\nmodels: [{ ${small}, devices: [2] }]`,
      'VRAM732',
      'is to run on GPU 2, and the last is GPU 1',
    ],
    [
      'infinite',
      `gpu: l4\nmodels: [{ ${small}, slo: { ttft: .inf } }]`,
      'VRAM101',
      'ttft: expected number, received Infinity',
    ],
    ['no-adapters', `gpu: l4\nmodels: [{ ${small}, lora: 0 adapters }]`, 'VRAM101', 'is written as "8 adapters"'],
    ['engine', `gpu: l4\nengine: llama.cpp\nmodels: [{ ${small} }]`, 'VRAM405', 'of one model take llama.cpp'],
  ])('%s: says where and what helps', async (name, text, code, says) => {
    put(`${name}.yaml`, text);
    const ran = await vram(['plan', '--pool', `${name}.yaml`]);
    expectRefused(ran, 2, [`[${code}]`, says]);
  });

  it('names a trace that lies beside the pool file', async () => {
    put('deep/trace.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n');
    put('deep/beside.yaml', `gpu: l4\nmodels: [{ ${small}, workload: trace.csv }]`);
    const ran = await vram(['simulate', '--pool', 'deep/beside.yaml']);
    expectRefused(ran, 2, ['[VRAM615]', 'paths count from where vram runs, not from the pool file: deep/trace.csv']);
  });
});

describe('simulate --pool', () => {
  it.each([
    ['--rate', '4x'],
    ['--limit', '4'],
    ['--concurrency', '2'],
    ['--max-num-seqs', '4'],
    ['--engine', 'vllm@0.9.0'],
  ])('refuses %s, which the pool file has to say, instead of ignoring it', async (...words) => {
    put('one.yaml', `gpu: l4\nmodels: [{ ${small}, workload: "sharegpt:requests=1" }]`);
    expectRefused(await vram(['simulate', '--pool', 'one.yaml', ...words]), 2, [`${words[0]} and --pool exclude`]);
  });

  it('refuses weights on a host that has no room for them', async () => {
    put(
      'host.yaml',
      `gpu: l4\nhostMemory: 1MiB\nloading: vllm-sleep\nmodels: [{ ${small}, weights: host, workload: "sharegpt:requests=1" }]`,
    );
    const ran = await vram(['simulate', '--pool', 'host.yaml']);
    expectRefused(ran, 2, ['[VRAM749]', 'host.yaml: hostMemory', 'weights: disk']);
  });

  it('says of a policy that was named on the command line that it was named there', async () => {
    put('one.yaml', `gpu: l4\nmodels: [{ ${small}, workload: "sharegpt:requests=1" }]`);
    expectRefused(await vram(['simulate', '--pool', 'one.yaml', '--policy', 'paged']), 2, ['(--policy) [VRAM740]']);
  });

  it('tells in the words of the file what a trace without arrival times needs', async () => {
    put('talk.json', '[{"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"hello"}]}]');
    put('talk.yaml', `gpu: l4\nmodels: [{ ${small}, workload: talk.json }]`);
    expectRefused(await vram(['simulate', '--pool', 'talk.yaml']), 2, ['[VRAM614]', 'rate: 4/s (Poisson arrivals)']);
  });

  it('a model without requests is no failure of the others; none at all is, and it says so', async () => {
    const idle = `{ id: idle, ${small}, workload: { ref: "poisson:rate=2,input=9,output=9,requests=5", duration: 0 } }`;
    put('idle.yaml', `gpu: l4\nmodels:\n  - ${idle}\n  - { ${small}, workload: "sharegpt:requests=1" }\n`);
    put('idle-only.yaml', `gpu: l4\nmodels:\n  - ${idle}\n`);
    expectCalm(await vram(['simulate', '--pool', 'idle.yaml', '--policy', 'static,static-load']));
    const ran = await vram(['simulate', '--pool', 'idle-only.yaml']);
    expect(ran.code).toBe(1);
    expect(ran.out).toContain('NOTHING SERVED  there are no requests');
    const all = await vram(['simulate', '--pool', 'idle-only.yaml', '--policy', 'all']);
    expect(all.out).not.toContain('TAKE');
  });
});

describe('plan and simulate of one pool', () => {
  it('have the same KV memory where models span GPUs of which one has less left and one has no model', async () => {
    put(
      'spans.yaml',
      `gpu: 3x l4
policy: kvcached
models:
  - { id: wide, model: qwen3-8b, options: { tp: 2, max-model-len: 2048 }, devices: [0, 1], workload: "sharegpt:requests=2" }
  - { id: narrow, model: qwen3-0.6b, devices: [1], options: { max-model-len: 2048 }, workload: "sharegpt:requests=2" }
`,
    );
    const runs = await Promise.all(['plan', 'simulate'].map((it) => vram([it, '--pool', 'spans.yaml', '--json'])));
    for (const ran of runs) expectCalm(ran);
    const plan = JSON.parse(runs[0]!.out) as PoolOutput;
    const run = JSON.parse(runs[1]!.out) as SharedOutput;
    expect(run.result.pool!.poolBytes).toBe(plan.result.policies[0]!.kvBytes);
  });

  it('start every engine of a split by load, also one that has nothing to do: rounding takes no block that it needs', async () => {
    put(
      'rounded.yaml',
      `gpu: l4
policy: static-load
models:
  - { id: idle, ${small}, workload: { ref: "poisson:rate=2,input=9,output=9,requests=5", duration: 0 } }
  - { id: busy, ${small}, workload: "sharegpt:requests=2" }
`,
    );
    const runs = await Promise.all(['plan', 'simulate'].map((it) => vram([it, '--pool', 'rounded.yaml', '--json'])));
    for (const ran of runs) expectCalm(ran);
    const idle = (JSON.parse(runs[0]!.out) as PoolOutput).result.policies[0]!.models[0]!;
    expect(idle.kvTokens).toBeGreaterThanOrEqual(2048);
  });

  it('keep to the share of the GPU that the file gives all engines, also where a policy has one of its own', async () => {
    const pool = (top: string) =>
      `gpu: l4\npolicy: kvcached\n${top}models: [{ ${small}, workload: "sharegpt:requests=1" }]\n`;
    put('own-share.yaml', pool(''));
    put('half.yaml', pool('gpuMemoryUtilization: 0.5\n'));
    put('stated.yaml', pool('gpuMemoryUtilization: 0.5\npolicyOptions: { kvcached: { gpuUtilization: 0.8 } }\n'));
    const shares = await Promise.all(
      ['own-share.yaml', 'half.yaml', 'stated.yaml'].map(async (file) => {
        const ran = await vram(['plan', '--pool', file, '--json']);
        return (JSON.parse(ran.out) as PoolOutput).result.policies[0]!.gpuUtilization;
      }),
    );
    expect(shares).toEqual([0.95, 0.5, 0.8]);
  });

  it('agree that a policy does not run, by their exit codes too, though one beside it does', async () => {
    put(
      'old.yaml',
      `gpu: l4
engine: vllm@0.6.3
policy: [kvcached, static]
models: [{ ${small.replace('qwen3-0.6b', 'llama-3.2-1b')}, workload: "sharegpt:requests=1" }]
`,
    );
    for (const command of ['plan', 'simulate']) {
      const ran = await vram([command, '--pool', 'old.yaml']);
      expect(ran.code).toBe(1);
      expect(ran.out.replace(/\s+/g, ' ')).toContain('kvcached: sharing is known of V1 engines');
    }
  });

  it('call a behaviour that no preset is what the file states', async () => {
    put(
      'away.yaml',
      `gpu: a100-40gb
gpuMemoryUtilization: 0.5
policy: kvcached
models:
  - { id: here, model: qwen2.5-vl-7b, options: { max-model-len: 2048 }, workload: "sharegpt:requests=2" }
  - { id: away, model: llama-3.2-3b, options: { max-model-len: 2048 }, workload: "sharegpt:requests=2", weights: disk }
`,
    );
    const [plan, run] = await Promise.all(['plan', 'simulate'].map((it) => vram([it, '--pool', 'away.yaml'])));
    expect(plan!.out.replace(/\s+/g, ' ')).toContain('weights come and go as the file states');
    expect(run!.out.replace(/\s+/g, ' ')).toContain('models come and go as the file states');
  });

  it('explain the columns that are shown, and say why a policy is not run', async () => {
    put(
      'uneven.yaml',
      `gpu: l4
policy: [kvcached, static]
models:
  - { id: large, model: llama-3.1-8b, quantization: fp8, options: { max-model-len: 2048 }, workload: "sharegpt:requests=2" }
  - { id: small, ${small}, workload: "sharegpt:requests=2" }
`,
    );
    const why = 'large: one sequence of 2,048 tokens does not fit into the KV cache';
    const [plan, run] = await Promise.all(['plan', 'simulate'].map((it) => vram([it, '--pool', 'uneven.yaml'])));
    expect(plan!.out.replace(/\s+/g, ' ')).toContain(`Not static: ${why}.`);
    expect(run!.out.replace(/\s+/g, ' ')).toContain(`static: ${why}`);
    expect(run!.out).toMatch(/^ +pre\. +refused +for /m);
    expect(run!.out).toMatch(/for:\s+how\s+long/);
    expect(run!.out).not.toContain('denied');
  });
});
