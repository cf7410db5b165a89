// Whole measured runs of vLLM 0.19 simulated with the release's scheduler and the step-time law. The RTX 4090 has coefficients of its
// own; the other card's follow from its data sheet.
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { simulateMeasured } from '../../../scripts/lib/measured.ts';

const runs = fileURLToPath(new URL('../../fixtures/measured', import.meta.url));

async function errorsOf(name: string, gpu?: string): Promise<Map<string, number | null>> {
  const { comparison } = await simulateMeasured(`${runs}/${name}`, gpu === undefined ? {} : { gpu });
  return new Map(comparison.map(({ figure, error }) => [figure, error]));
}

describe('measured runs', () => {
  it('Llama-3.1-8B on an RTX 4090 whose pool is full most of the time', async () => {
    const errors = await errorsOf('RTX4090_Llama-3.1-8B');
    for (const figure of ['TTFT mean', 'TPOT mean', 'latency mean', 'makespan'])
      expect(Math.abs(errors.get(figure)!), figure).toBeLessThan(0.05);
    expect(errors.get('KV cache use')).toBeLessThan(5);
    expect(errors.get('running')).toBeLessThan(0.1);
    expect(errors.get('waiting')).toBeLessThan(0.1);
  });

  it.each([
    ['Llama-3.1-8B', 'one'],
    ['Qwen3-32B', 'two in tensor parallel'],
    ['Qwen3-30B-A3B-Instruct-2507', 'two in data and expert parallel'],
  ])('%s on %s RTX PRO 6000, by the data sheet', async (model) => {
    const errors = await errorsOf(`RTXPRO6000_${model}`, 'rtx-pro-6000-server');
    for (const figure of ['TPOT mean', 'latency mean', 'makespan'])
      expect(Math.abs(errors.get(figure)!), figure).toBeLessThan(0.2);
  });
});
