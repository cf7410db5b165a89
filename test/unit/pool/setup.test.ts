// A model alone in a pool under a static policy is the engine that `vram simulate --model --gpu` sets up, to the last field; what a pool
// makes of several models.
import { describe, expect, it } from 'vitest';
import { poolSetup } from '../../../src/commands/pool-setup.ts';
import { readSimulateArguments, simulateCommand } from '../../../src/commands/simulate-arguments.ts';
import { setupSource } from '../../../src/commands/simulate-setup.ts';
import { Workloads } from '../../../src/commands/simulate-workload.ts';
import { quietIo } from '../../../src/io.ts';
import { resolvePool } from '../../../src/load/pool.ts';

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
