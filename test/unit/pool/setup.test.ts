// A model alone in a pool under a static policy is the engine that `vram simulate --model --gpu` sets up, to the last field; what a pool
// makes of several models.
import { describe, expect, it } from 'vitest';
import { poolSetup } from '../../../src/commands/pool-setup.ts';
import { readSimulateArguments, simulateCommand } from '../../../src/commands/simulate-arguments.ts';
import { setupSource } from '../../../src/commands/simulate-setup.ts';
import { Workloads } from '../../../src/commands/simulate-workload.ts';
import { quietIo } from '../../../src/io.ts';
import { resolvePool } from '../../../src/load/pool.ts';
import { virtualBlocks } from '../../../src/sim/sharing/memory.ts';

const io = quietIo();

async function fromPool(text: string) {
  return poolSetup(await resolvePool('-', { stdin: () => text }), io);
}

async function fromCommand(words: string[]) {
  const command = simulateCommand(io);
  await command.parseAsync(words, { from: 'user' });
  const args = readSimulateArguments(command, new Set());
  const made = (await setupSource(args, io)).make({}, 'paged', 'lru');
  if (!made.ok) throw new Error(made.reason);
  const { workload } = await new Workloads(args.workload, io).of(args.simulation);
  return { setup: made.setup, workload };
}

describe('one model under a static policy', () => {
  it.each([
    [
      'gpu: l4\nmodels: [{ model: llama-3.1-8b, options: { max-model-len: 8192 }, workload: { ref: sharegpt, rate: 2/s, limit: 50 } }]',
      '-m llama-3.1-8b -g l4 --max-model-len 8192 -w sharegpt --rate 2/s --limit 50',
    ],
    [
      'gpu: 2x a100-80gb\nengine: vllm@0.19.0\nseed: 3\npolicy: static-weights\nmodels: [{ id: big, model: qwen3-32b, options: { tp: 2, enable-prefix-caching: false, scheduling-policy: priority }, workload: alpaca }]',
      '-m qwen3-32b -g 2xa100-80gb --tp 2 --engine vllm@0.19.0 --no-enable-prefix-caching --scheduling-policy priority --seed 3 -w alpaca',
    ],
    [
      'gpu: a100-40gb\npolicy: static-load\nmodels: [{ model: gemma-3-4b, options: { gpu-memory-utilization: 0.5 }, quantization: fp8, workload: { ref: chat, limit: 20, seed: 9 } }]',
      '-m gemma-3-4b -g a100-40gb -q fp8 --gpu-memory-utilization 0.5 -w chat --limit 20 --seed 9',
    ],
  ])('%s', async (text, line) => {
    const { runs } = await fromPool(text);
    const [one] = runs;
    if (!one || 'refused' in one) throw new Error(one?.refused);
    const [model] = one.run.models;
    const command = await fromCommand(line.split(' '));
    expect(JSON.stringify(model!.run.setup)).toBe(JSON.stringify(command.setup));
    expect(JSON.stringify(model!.run.workload)).toBe(JSON.stringify(command.workload));
    expect(model!.run.setup).toEqual(command.setup);
  });
});

describe('several models', () => {
  const text = `gpu: a100-80gb
policy: kvcached
compare: all
models:
  - { id: a, model: llama-3.1-8b, options: { max-model-len: 8192 }, workload: { ref: sharegpt, rate: 2/s, limit: 20 }, minMemory: 1GiB, priority: 3, slo: { ttft: 2 } }
  - { id: latent, model: deepseek-v2-lite, options: { max-model-len: 4096 }, workload: { ref: alpaca, limit: 20 }, weights: host, preloadAt: [5] }
`;

  it('every policy has its run; pools have the blocks that their pages hold', async () => {
    const { runs } = await fromPool(text);
    expect(runs.map(({ policy }) => policy.id)).toEqual(
      expect.arrayContaining(['static', 'static-load', 'expand', 'kvcached', 'oracle']),
    );
    for (const one of runs) {
      if ('refused' in one) throw new Error(`${one.policy.id}: ${one.refused}`);
      const { models, devices, policy } = one.run;
      for (const model of models) {
        const { numBlocks } = model.run.setup.paged;
        expect(numBlocks, `${policy.id} ${model.id}`).toBe(virtualBlocks(policy, model));
        expect(model.minBytes).toBeLessThanOrEqual(model.maxBytes);
        expect(numBlocks * model.blockBytes).toBeLessThanOrEqual(model.maxBytes);
        expect(model.weightsBytes + model.otherBytes + model.maxBytes).toBeLessThanOrEqual(devices[0]!);
      }
      const [a, latent] = models;
      expect(a).toMatchObject({ priority: 3, objective: { ttftSeconds: 2, tpotSeconds: null } });
      // One latent tensor a layer, 27 of them; K and V of 32.
      expect([a!.tensors, latent!.tensors]).toEqual([64, 27]);
      expect(latent!.weights).toMatchObject({ place: 'host', preloadAt: [5] });
      // What copies reach of PCIe 4.0 x16 (31.5 GB/s): .8.
      expect(latent!.weights.hostRate).toBeGreaterThan(25e9);
      expect(latent!.weights.hostRate).toBeLessThan(25.3e9);
    }
  });

  it('a policy whose engines do not start is refused with its reason, the others run', async () => {
    const { runs } = await fromPool(text.replace('a100-80gb', 'l40s').replaceAll(', weights: host', ''));
    const slices = runs.find(({ policy }) => policy.id === 'static')!;
    expect(slices).toMatchObject({ refused: expect.stringMatching(/latent|GPU 0/) });
    expect(runs.some((one) => 'run' in one || one.refused.length > 0)).toBe(true);
  });
});
