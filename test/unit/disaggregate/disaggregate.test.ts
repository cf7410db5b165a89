// Prefill and decode apart: bytes of a prompt's cache and the time to send them against figures that are known, the split that balances
// against all splits, waiting against the exact law of one server, and vLLM's own word that the throughput does not grow.
import { describe, expect, it } from 'vitest';
import { planArguments } from '../../../src/commands/plan-request.ts';
import type { Io } from '../../../src/io.ts';
import { parseDisaggregate } from '../../../src/plan/disaggregate/parse.ts';
import { waitSeconds } from '../../../src/plan/disaggregate/rates.ts';
import type { DisaggregationPlan } from '../../../src/plan/disaggregate/types.ts';
import { verdictOf } from '../../../src/plan/disaggregate/verdict.ts';
import type { PlanOutput } from '../../../src/plan/output.ts';
import { planOutputSchema } from '../../../src/plan/schema.ts';
import { disaggregationText } from '../../../src/render/disaggregation.ts';
import type { EngineOptions } from '../../../src/spec/options.ts';

const io = { env: {} } as Io;

async function planned(
  model: string,
  gpu: string,
  disaggregate: string,
  given: Partial<EngineOptions> = {},
  engine = 'vllm',
): Promise<PlanOutput> {
  const args = { model, gpu, engine, disaggregate, given, require: [], matrix: false, explain: false };
  const { output } = await planArguments(args, io);
  return output as PlanOutput;
}

const of = async (...args: Parameters<typeof planned>): Promise<DisaggregationPlan> =>
  (await planned(...args)).result.disaggregation!;

const length = { maxModelLen: 16384 };

describe('--disaggregate', () => {
  it('sends the cache of a prompt: 128 KiB a token of Llama 3.1 8B, half of NVLink at .7', async () => {
    const { transfer } = await of('llama-3.1-8b', '8x h100-sxm', 'prefill=2,decode=6,prompt=8192,output=512', length);
    expect(transfer.bytesPerPrompt).toBe(8192 * 131072);
    expect(transfer).toMatchObject({ link: 'nvlink', bytesPerSecond: 450e9 * 0.7 });
    expect(transfer.seconds).toBeCloseTo(1e-4 + 2 ** 30 / 315e9, 6);
  });

  it('goes over the network between nodes: one card of 400 Gbit/s a GPU', async () => {
    const { transfer } = await of(
      'llama-3.1-8b',
      '2x p5.48xlarge',
      'prefill=8,decode=8,prompt=8192,output=512',
      length,
    );
    expect(transfer).toMatchObject({ link: 'network', bytesPerSecond: 50e9 * 0.8 });
  });

  it('plans both pools as any server, with ranks that share the cache', async () => {
    const output = await planned('llama-3.1-70b', 'p5.48xlarge', 'auto,prompt=4096,output=512,rate=1', {
      tensorParallelSize: 4,
    });
    const { prefill, decode, transfer } = output.result.disaggregation!;
    expect(prefill).toMatchObject({ servers: 1, gpusPerServer: 4, fits: true, kvTokens: output.result.kvCache.tokens });
    expect(decode.kvTokens).toBe(output.result.kvCache.tokens);
    // 80 layers x 8 heads x 128 x 2 x 2 bytes, whatever the ranks.
    expect(transfer.bytesPerPrompt).toBe(4096 * 327680);
    expect(decode.utilization).toBeCloseTo(1 / decode.requestsPerSecond, 9);
    expect(planOutputSchema.safeParse(output).error).toBeUndefined();
  });

  it('balances: no other split of the servers does more', async () => {
    const shape = 'prompt=4096,output=256';
    const auto = await of('llama-3.1-8b', '8x h100-sxm', `auto,${shape}`, length);
    const all = await Promise.all(
      [1, 2, 3, 4, 5, 6, 7].map((n) =>
        of('llama-3.1-8b', '8x h100-sxm', `prefill=${n},decode=${8 - n},${shape}`, length),
      ),
    );
    const most = Math.max(
      ...all.map(({ prefill, decode }) => Math.min(prefill.requestsPerSecond, decode.requestsPerSecond)),
    );
    expect(Math.min(auto.prefill.requestsPerSecond, auto.decode.requestsPerSecond)).toBe(most);
    for (const { balance } of all)
      expect(balance).toMatchObject({ prefill: auto.prefill.servers, requestsPerSecond: most });
  });

  it('does not raise the throughput (docs/features/disagg_prefill.md)', async () => {
    for (const [model, gpu, prompt] of [
      ['llama-3.1-8b', '8x h100-sxm', 8192],
      ['llama-3.1-8b', '4x l4', 1024],
      ['qwen3-30b-a3b', '4x h200-sxm', 2048],
    ] as const) {
      const { disaggregated, aggregated } = await of(model, gpu, `auto,prompt=${prompt},output=256`, length);
      expect(disaggregated.requestsPerSecond, model).toBeLessThan(aggregated.requestsPerSecond * 1.1);
    }
  });

  it('takes prompts out of the steps that decode: tokens come faster at the same rate', async () => {
    const { disaggregated, aggregated } = await of(
      'llama-3.1-8b',
      '8x h100-sxm',
      'auto,prompt=8192,output=512',
      length,
    );
    expect(disaggregated.tpotSeconds!).toBeLessThan(aggregated.tpotSeconds!);
  });

  it('gives different GPUs to the pools, in order', async () => {
    const plan = await of('llama-3.1-8b', '2x l40s,2x l4', 'prefill=2,decode=2,prompt=1024,output=128', {
      maxModelLen: 8192,
    });
    expect([plan.prefill.gpu, plan.decode.gpu]).toEqual(['l40s', 'l4']);
    expect(plan.prefill.kvTokens).toBeGreaterThan(plan.decode.kvTokens);
  });

  it.each([
    ['vllm@0.33.0', 'NixlConnector', '"kv_role":"kv_both"'],
    ['vllm@0.8.5', 'PyNcclConnector', '"kv_role":"kv_producer"'],
  ])('starts servers of %s with %s', async (engine, connector, role) => {
    const plan = await of('llama-3.1-8b', '2x h100-sxm', 'prefill=1,decode=1', length, engine);
    expect(plan.connector).toBe(connector);
    expect(plan.prefill.command).toContain(role);
    expect(plan.decode.command).toContain('--kv-transfer-config');
  });

  it('reads without colour in 80 columns', async () => {
    const plan = await of('llama-3.1-8b', '8x h100-sxm', 'prefill=2,decode=6', length);
    const text = disaggregationText(plan, { colour: false, columns: 80 });
    const commands = [plan.prefill.command, plan.decode.command];
    for (const line of text.split('\n')) if (!commands.includes(line)) expect(line.length).toBeLessThanOrEqual(80);
  });

  it.each([
    ['8x h100-sxm', 'prefill=4,decode=5', {}],
    ['8x h100-sxm', 'prefill=2,decode=2,prompt=20000', {}],
    ['8x h100-sxm', 'prefill=2,decode=2', { dataParallelSize: 2 }],
    ['h100-sxm', 'auto', {}],
    ['rtx4090,rtx3090', 'auto', {}],
  ])('refuses %s with %s', async (gpu, text, given) => {
    await expect(planned('llama-3.1-8b', gpu, text, { ...length, ...given })).rejects.toThrow(/--disaggregate|needs/);
  });
});

describe('parseDisaggregate', () => {
  it('reads servers and the shape of the load', () => {
    expect(parseDisaggregate('prefill=2, decode=6,prompt=8K,output=512,rate=4/s')).toEqual({
      servers: { prefill: 2, decode: 6 },
      promptTokens: 8192,
      outputTokens: 512,
      requestsPerSecond: 4,
    });
    expect(parseDisaggregate('auto')).toEqual({});
  });

  it.each([
    '',
    'prefill=2',
    'prefill=0,decode=1',
    'prefill=1,decode=x',
    'rate=-1',
    'rate=1e999',
    'prefill=1=2,decode=1',
    'split=2',
  ])('refuses %j', (text) => {
    expect(() => parseDisaggregate(text)).toThrow();
  });
});

describe('waitSeconds', () => {
  it('is exact for one server, M/D/1', () => {
    for (const load of [0.1, 0.5, 0.9]) expect(waitSeconds(2, 1, load)).toBeCloseTo((2 * load) / (2 * (1 - load)), 9);
  });

  it('falls with more servers and grows with the load', () => {
    expect(waitSeconds(1, 4, 0.8)).toBeLessThan(waitSeconds(1, 1, 0.8));
    expect(waitSeconds(1, 4, 0.9)).toBeGreaterThan(waitSeconds(1, 4, 0.8));
    expect(waitSeconds(1, 4, 1)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('verdictOf', () => {
  const figures = (ttftSeconds: number | null, tpotSeconds: number | null) => ({
    requestsPerSecond: 1,
    ttftSeconds,
    tpotSeconds,
  });

  it.each([
    [figures(1, 0.01), figures(1, 0.02), true],
    [figures(1.1, 0.01), figures(1, 0.02), true],
    [figures(2, 0.01), figures(1, 0.0101), false],
    [figures(2, 0.01), figures(1, 0.02), false],
    [figures(null, null), figures(1, 0.02), false],
    [figures(1, 0.01), figures(null, null), true],
  ])('%j against %j: %s', (apart, together, pays) => {
    expect(verdictOf(apart, together, 'x').pays).toBe(pays);
  });
});
