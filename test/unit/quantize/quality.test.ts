// Published figures: nearest evidence first, comparisons within one table only, and the tables against themselves.
import { describe, expect, it } from 'vitest';
import { loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { compareMeasured, figuresOf, speakingFigure } from '../../../src/plan/quality/book.ts';

const book = loadPresets('quality');
const subject = (id: string) => {
  const { family, parameters } = loadPreset('models', id);
  return { id, family, parameters };
};
const spoken = (scheme: string, id: string, domain?: 'code' | 'math' | 'medicine' | 'general') =>
  speakingFigure(figuresOf(book, scheme, subject(id)), domain)!;

describe('the figure that speaks for a scheme', () => {
  it('is of the model itself where there is one', () => {
    const { figure } = spoken('q4_k_m', 'llama-3-70b');
    expect(figure).toMatchObject({
      relation: 'model',
      value: 2.9674,
      table: { model: 'Llama-3-70B', baseline: 2.8308 },
    });
    expect(figure.relativeLoss).toBeCloseTo(2.9674 / 2.8308 - 1, 12);
  });

  it('else of its family, of the nearest size', () => {
    expect(spoken('fp8-dynamic', 'llama-3.3-70b').figure).toMatchObject({
      relation: 'family',
      table: { model: 'Meta-Llama-3.1-70B-Instruct' },
    });
    expect(spoken('q4_k_m', 'llama-3.1-8b').figure).toMatchObject({
      relation: 'family',
      table: { model: 'Llama-3-8B' },
    });
  });

  it('else of another model of like size, and says so', () => {
    expect(spoken('w4a16', 'qwen3-8b').figure.relation).toBe('other');
    expect(spoken('q4_k_m', 'mistral-7b-v0.3').figure.table.model).toBe('Llama-3-8B');
  });

  it('is of the domain asked for, or the want of it is told', () => {
    expect(spoken('w8a8', 'llama-3.1-8b', 'code')).toMatchObject({
      domainMissing: false,
      figure: { table: { metric: 'humaneval' } },
    });
    expect(spoken('w8a8', 'llama-3.1-8b', 'medicine')).toMatchObject({ domainMissing: true });
    expect(spoken('awq', 'llama-2-70b', 'math').figure.table.metric).toBe('gsm8k');
  });

  it('is a broad average before a single task', () => {
    expect(spoken('awq', 'qwen2-72b').figure.table.metric).toBe('average-3');
  });

  it('is not one task where a broad figure is as near', () => {
    expect(spoken('nvfp4', 'gemma-3-27b').figure.table).toMatchObject({
      model: 'Llama-3.1-8B-Instruct',
      metric: 'average-4',
    });
    expect(spoken('nvfp4', 'qwen3-30b-a3b').figure).toMatchObject({ relation: 'model', table: { metric: 'mmlu-pro' } });
  });

  it('is missing where nobody published one', () => {
    expect(speakingFigure(figuresOf(book, 'bitsandbytes-int8', subject('llama-3.1-8b')), undefined)).toBeUndefined();
  });
});

describe('comparing schemes', () => {
  const figures = (scheme: string, id: string) => figuresOf(book, scheme, subject(id));

  it('goes by one table: same source, model and metric', () => {
    const compared = compareMeasured(figures('w4a16', 'llama-3.1-8b'), figures('awq', 'llama-3.1-8b'))!;
    expect(compared.order).toBeLessThan(0);
    expect(compared.table).toMatchObject({ model: 'Llama-3.1-8B-Instruct', metric: 'openllm-v1', baseline: 74.06 });
    expect(compareMeasured(figures('q5_k_m', 'llama-3-70b'), figures('q4_k_m', 'llama-3-70b'))!.order).toBeLessThan(0);
  });

  it('does not compare what no table holds together', () => {
    expect(compareMeasured(figures('q4_k_m', 'llama-3-70b'), figures('fp8-dynamic', 'llama-3-70b'))).toBeUndefined();
  });

  it('takes one publisher’s cards of one model for one table', () => {
    const compared = compareMeasured(figures('fp8-dynamic', 'llama-3.1-70b'), figures('w8a8', 'llama-3.1-70b'))!;
    expect(compared.table.model).toBe('Meta-Llama-3.1-70B-Instruct');
  });
});

describe('the tables', () => {
  it('name a source each, and presets that exist', () => {
    const ids = new Set(loadPresets('models').map(({ id }) => id));
    const families = new Set(loadPresets('models').map(({ family }) => family));
    for (const { source, model } of book.tables) {
      expect(source.length).toBeGreaterThan(10);
      const { preset, family } = book.models[model]!;
      if (preset !== undefined) expect(ids).toContain(preset);
      if (family !== undefined) expect(families).toContain(family);
    }
  });

  it('agree with the presets about families and sizes', () => {
    for (const { preset, family, parameters } of Object.values(book.models)) {
      if (preset === undefined) continue;
      const spec = loadPreset('models', preset);
      expect(family).toBe(spec.family);
      expect(parameters! / spec.parameters!).toBeCloseTo(1, 2);
    }
  });

  it('lose nothing impossible: scores within 0 to 110 % of 16 bit, perplexities not below half', () => {
    for (const { values, baseline, metric } of book.tables) {
      const { kind } = book.metrics[metric]!;
      if (baseline === undefined || (kind !== 'accuracy' && kind !== 'perplexity')) continue;
      for (const value of Object.values(values)) {
        const share = value / baseline;
        expect(kind === 'accuracy' ? share > 0.4 && share < 1.1 : share > 0.95).toBe(true);
      }
    }
  });
});
