// The loss curves are the published tables, and the sensitivities say what the K-quant mixes spare.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { loadPreset } from '../../../src/load/presets.ts';
import { ggmlLoss, ggmlLossWithImatrix } from '../../../src/plan/recipe/loss.ts';
import { leastBits, sensitivities } from '../../../src/plan/recipe/sensitivity.ts';
import type { GgufModel } from '../../../src/spec/gguf.ts';

function gguf(id: string): GgufModel {
  const spec = loadPreset('models', id);
  return toGguf(spec, expandArchitecture(spec))!;
}

interface QualityTable {
  model: string;
  metric: string;
  imatrix?: boolean;
  values: Record<string, number>;
}

function published(imatrix: boolean): Record<string, number> {
  const path = new URL('../../../presets/quality/llama.cpp-perplexity.yaml', import.meta.url);
  const { sources } = parse(readFileSync(path, 'utf8')) as { sources: { tables: QualityTable[] }[] };
  const tables = sources.flatMap((source) => source.tables);
  return tables.find(
    (table) => table.model === 'Llama-3-8B' && table.metric === 'kld' && (table.imatrix ?? false) === imatrix,
  )!.values;
}

describe('loss of a type', () => {
  it('is the KL divergence of the mix that has it nearly everywhere', () => {
    const rows = published(false);
    const pure = { f16: 'gguf-f16', q5_k: 'q5_k_s', q4_k: 'q4_k_s', q3_k: 'q3_k_s' } as Record<string, string>;
    for (const [type, loss] of Object.entries(ggmlLoss)) {
      if (type === 'f32' || type === 'bf16') continue;
      expect(loss, type).toBe(rows[pure[type] ?? type]);
    }
  });

  it('with an importance matrix too', () => {
    const rows = published(true);
    const pure = { q4_k: 'q4_k_s', q3_k: 'q3_k_s', q2_k: 'q2_k_s', iq2_s: 'iq2_m' } as Record<string, string>;
    for (const [type, loss] of Object.entries(ggmlLossWithImatrix)) {
      expect(loss, type).toBe(rows[pure[type] ?? type] ?? ggmlLoss[type as keyof typeof ggmlLoss]);
    }
  });
});

describe('sensitivity', () => {
  it('is 1 where the mixes spend nothing more, above where they do: attn_v, ffn_down, the output, the first and last layers', () => {
    const of = sensitivities(gguf('llama-3.1-8b'));
    for (const name of ['attn_q', 'attn_k', 'ffn_gate', 'ffn_up'])
      expect(of.get(`blk.10.${name}.weight`)).toBeCloseTo(1);
    expect(of.get('token_embd.weight')).toBeCloseTo(1);
    for (const name of ['attn_v', 'ffn_down']) {
      const [first, early, middle, last] = [0, 3, 13, 31].map((i) => of.get(`blk.${i}.${name}.weight`)!);
      expect(first).toBeGreaterThan(early!);
      expect(early).toBeCloseTo(last!);
      expect(last).toBeGreaterThan(middle!);
      expect(middle).toBeGreaterThan(1);
    }
    expect(of.get('output.weight')).toBeGreaterThan(of.get('blk.0.attn_v.weight')!);
  });

  it('is the output’s for an embedding that is the output too', () => {
    expect(sensitivities(gguf('llama-3.2-1b')).get('token_embd.weight')).toBeGreaterThan(10);
  });

  it('is high for the attention of eight experts, small beside them', () => {
    const of = sensitivities(gguf('mixtral-8x7b'));
    expect(of.get('blk.9.attn_k.weight')).toBeGreaterThan(10);
    expect(of.get('blk.9.ffn_gate_exps.weight')).toBeCloseTo(1);
  });
});

describe('fewest bits', () => {
  it('are what some mix gives: no fewer than 5.5 for the output, 2.625 for the embedding', () => {
    const least = leastBits(gguf('llama-3.1-8b'), true);
    expect(least.get('output.weight')).toBe(5.5);
    expect(least.get('token_embd.weight')).toBe(2.625);
    expect(least.get('blk.9.ffn_up.weight')).toBe(1.5625);
    expect(leastBits(gguf('llama-3.1-8b'), false).get('blk.9.ffn_up.weight')).toBe(2.625);
  });
});
