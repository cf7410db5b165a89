// Every file of examples/ does what its head says, with `vram` on the path as a user has it.
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { SharedOutput } from '../../src/plan/shared-output.ts';
import { expectCalm, program, put, type Ran, scratch, shell } from './run.ts';

const root = dirname(dirname(fileURLToPath(new URL('.', import.meta.url))));

beforeAll(() => {
  put('bin/vram', `#!/bin/sh\nexec "$NODE" '${program}' "$@"\n`);
  chmodSync(join(scratch, 'bin/vram'), 0o755);
});

function asUser(line: string): Promise<Ran> {
  return shell(line, { cwd: root, env: { PATH: `${join(scratch, 'bin')}:${process.env.PATH}` } });
}

/** The command that the head of a file names. */
function commandOf(name: string): string {
  return /^#.*(vram (?:plan|simulate) -.*)$/m.exec(readFileSync(join(root, 'examples', name), 'utf8'))![1]!;
}

interface FigureRun {
  policy: string;
  requests: { total: number; finished: number; rejected: number };
  memory: { shares: { tokenStates: number } };
}

describe.concurrent('examples', () => {
  it.each([
    ['my-model.yaml', /house-llama-3b, 3\.21B, bfloat16/],
    ['my-gpu.yaml', /on NVIDIA L4, ECC off with vLLM/],
    ['vllm-config.yaml', /qwen3-32b, 32\.76B, awq/],
    ['shared-gpu.yaml', /3 models on NVIDIA A100-SXM4-80GB[\s\S]*FITS {2}kvcached: all 3 models run at once/],
  ])('%s is planned', async (name, says) => {
    const ran = await asUser(commandOf(name));
    expectCalm(ran);
    expect([0, 1]).toContain(ran.code);
    expect(ran.out).toMatch(says);
  });

  it('compare-releases.sh prints a line a release', async () => {
    const line = 'vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 16384';
    const ran = await asUser(`examples/compare-releases.sh l4 "${line}" 0.10.2 0.19.0 0.33.0`);
    expect(ran.code).toBe(0);
    const lines = ran.out.trim().split('\n');
    expect(lines.map((text) => text.split(' ')[0])).toEqual(['0.10.2', '0.19.0', '0.33.0']);
    for (const text of lines) expect(text).toMatch(/^0\.\d+\.\d +[\d.]+ GiB, \d+ tokens, [\d.]+x, fits$/);
  });

  it('which-gpu.sh names three GPUs a layout, the cheapest first', async () => {
    const ran = await asUser('examples/which-gpu.sh qwen3-8b 8192 8');
    expectCalm(ran);
    expect(ran.code).toBe(0);
    const groups = ran.out.split('\n\n').filter((part) => /^TP [1248] {2}[\d,]+ fit\n/.test(part));
    expect(groups).toHaveLength(4);
    for (const group of groups) {
      const costs = group
        .trim()
        .split('\n')
        .slice(2)
        .map((row) => Number(row.trim().split(/ {2,}/)[5]));
      expect(costs).toHaveLength(3);
      expect(costs).toEqual([...costs].sort((a, b) => a - b));
    }
  });

  it('capacity-check.yml passes, and fails when the requirement does', async () => {
    const workflow = parse(readFileSync(join(root, 'examples/capacity-check.yml'), 'utf8')) as {
      jobs: { plan: { steps: { name?: string; run?: string }[] } };
    };
    const step = workflow.jobs.plan.steps.find(({ name }) => name === 'Plan the deployment')!.run!;
    const ran = await asUser(step);
    expect(ran.code).toBe(0);
    expect(ran.out).toContain('::notice title=vram plan::fits');
    const failed = await asUser(step.replace('>=4', '>=400'));
    expect(failed.code).toBe(1);
    expect(failed.out).toContain('::error title=vram requirement::');
  });

  it('paged-attention-figure-2.sh gives the token states of the paper within 4 points', async () => {
    const ran = await asUser('examples/paged-attention-figure-2.sh --json');
    expect(ran.code).toBe(0);
    const { result } = JSON.parse(ran.out) as { result: { runs: FigureRun[] } };
    const paper = { 'orca-max': 20.4, 'orca-pow2': 26.8, 'orca-oracle': 38.2, v0: 96.3 };
    expect(result.runs.map(({ policy }) => policy)).toEqual(Object.keys(paper));
    for (const { policy, requests, memory } of result.runs) {
      expect(requests).toMatchObject({ total: 10_000, finished: 10_000, rejected: 0 });
      expect(Math.abs(100 * memory.shares.tokenStates - paper[policy as keyof typeof paper])).toBeLessThan(4);
    }
  });

  it('sharing-savings.sh: in the ranges of the paper, but for beams of width 6: up to 4 points above', async () => {
    const ran = await asUser('examples/sharing-savings.sh');
    expect(ran.code).toBe(0);
    const paper = [
      ['alpaca', 'samples', 6.1, 9.8],
      ['alpaca', 'beam-width', 37.6, 55.2],
      ['sharegpt', 'samples', 16.2, 30.5],
      ['sharegpt', 'beam-width', 44.3, 66.3],
    ] as const;
    for (const [i, line] of ran.out.trim().split('\n').entries()) {
      const [load, kind, low, high] = paper[i]!;
      const [, two, four, six] = /^\S+ +\S+ +([\d.]+) % +([\d.]+) % +([\d.]+) %$/.exec(line)!.map(Number);
      expect(line).toMatch(new RegExp(`^${load} +${kind} `));
      expect(two).toBeGreaterThan(low - 0.35);
      expect(four).toBeLessThan(high);
      expect(six).toBeLessThan(high + (kind === 'samples' ? 0.2 : 4.5));
      expect(four! > two! && six! > four!).toBe(true);
    }
  });

  it('my-workload.yaml is simulated', async () => {
    const ran = await asUser(`${commandOf('my-workload.yaml')} --no-advice`);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/^Support chats: 400 requests/m);
  });

  it.each([2, 3, 8])('prism-%i.yaml is simulated, and served to the end', async (count) => {
    const line = commandOf(`prism-${count}.yaml`);
    const ran = await asUser(`${line} --policy kvcached --require 'pool.requests.rejected==0'`);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(new RegExp(`^(Two|Three|Eight) models of the Prism trace: ${count} models on`));
  });

  it('one-at-a-time.yaml: every request is served, soonest where models wake from host memory or take turns', async () => {
    const ran = await asUser(`${commandOf('one-at-a-time.yaml')} --json`);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    const { result } = JSON.parse(ran.out) as SharedOutput;
    expect(result.policies.map(({ loading }) => loading)).toEqual(['ollama', 'llama-swap', 'vllm-sleep', 'aegaeon']);
    for (const { pool } of result.policies) {
      expect(pool.requests).toEqual({ total: 240, finished: 240, rejected: 0 });
      expect(pool.loads).toBeGreaterThan(100);
    }
    const [ollama, swap, sleep, turns] = result.policies.map(({ pool }) => pool.ttftSeconds.p50);
    expect(Math.max(sleep!, turns!)).toBeLessThan(Math.min(ollama!, swap!) / 2);
  });

  it('highest-rate.sh prints a line a GPU', async () => {
    const workload = 'sharegpt:requests=60';
    const ran = await asUser(`examples/highest-rate.sh llama-3.1-8b '${workload}' 'ttft_p99<1s' l4 h100-sxm t4`);
    expect(ran.code).toBe(0);
    const [l4, h100, t4] = ran.out.trim().split('\n');
    expect(l4).toMatch(/^l4 +\d+\.\d\d requests\/s \(/);
    expect(Number(/[\d.]+(?= requests)/.exec(h100!))).toBeGreaterThan(Number(/[\d.]+(?= requests)/.exec(l4!)));
    expect(t4).not.toContain('requests/s');
  });

  it('how-many-layers.sh: more context, fewer layers', async () => {
    const ran = await asUser('examples/how-many-layers.sh llama-3.1-70b q4_k_m rtx4090 4096 32768');
    expect(ran.code).toBe(0);
    const layers = ran.out
      .trim()
      .split('\n')
      .map((line) =>
        Number(/^\d+ tokens: (\d+) of 81 layers, about [\d.]+ tokens\/s \([\d.]+ to [\d.]+\)$/.exec(line)![1]),
      );
    expect(layers[0]).toBeGreaterThan(layers[1]!);
    expect(layers[1]).toBeGreaterThan(20);
  });

  it('deployments.sh says which run on a card and how much they hold', async () => {
    const names = 'llama-2-7b-chat-awq qwen3-4b themisdb-rtx4090-13b-original';
    const ran = await asUser(`examples/deployments.sh l4 ${names}`);
    expect(ran.code).toBe(0);
    const [awq, small, original] = ran.out.trim().split('\n');
    expect(awq).toMatch(/^llama-2-7b-chat-awq: \d of 6 x 4096 tokens$/);
    expect(small).toMatch(/^qwen3-4b: \d of 6 x 32768 tokens$/);
    expect(original).toMatch(/^themisdb-rtx4090-13b-original: the weights alone need 24\.\d\d GiB of GPU 0$/);
  });

  it('recipe.sh prints the line of llama-quantize and whether Q4_K_M fits', async () => {
    const ran = await asUser('examples/recipe.sh qwen3-8b rtx4060');
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/^llama-quantize /);
    expect(ran.out).toContain('title=vram plan::fits');
  });

  it('are all run here', () => {
    const known = [
      'capacity-check.yml',
      'compare-releases.sh',
      'deployments.sh',
      'highest-rate.sh',
      'how-many-layers.sh',
      'my-gpu.yaml',
      'my-model.yaml',
      'my-workload.yaml',
      'one-at-a-time.yaml',
      'paged-attention-figure-2.sh',
      'prism-2.yaml',
      'prism-3.yaml',
      'prism-8.yaml',
      'recipe.sh',
      // Run in scenarios.test.ts.
      'recommend.sh',
      'shared-gpu.yaml',
      'sharing-savings.sh',
      'vllm-config.yaml',
      'which-gpu.sh',
    ];
    expect(readdirSync(join(root, 'examples')).sort()).toEqual(known);
  });
});
