// Beam survival: the published figures it rests on come out of the distributions drawn, the stream is the seed's, and what sharing
// saves lies where the PagedAttention paper has it.
import { describe, expect, it } from 'vitest';
import { BeamSearch } from '../../../src/sim/v0/beams.ts';
import { createV0 } from '../../../src/sim/v0/index.ts';
import { Predictability, publishedPerplexity, thetaOf } from '../../../src/sim/v0/predictability.ts';

describe('predictability', () => {
  const text = new Predictability(publishedPerplexity);

  it('starts at the perplexity of human text and averages that of beam-searched text', () => {
    expect(Math.exp(text.entropy(0))).toBeCloseTo(12.38, 9);
    let sum = 0;
    const steps = 200_000;
    for (let i = 0; i < steps; i++) sum += text.entropy(((i + 0.5) * 200) / steps);
    expect(Math.exp(sum / steps)).toBeCloseTo(1.48, 6);
  });

  it('theta gives the entropy: the harmonic numbers at whole values', () => {
    for (const [theta, entropy] of [
      [1, 1],
      [2, 1 + 1 / 2],
      [5, 1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5],
    ] as const) {
      expect(thetaOf(entropy)).toBeCloseTo(theta, 9);
    }
  });
});

describe('survivors', () => {
  it('come best first from existing beams, with scores that fall', () => {
    const search = new BeamSearch(publishedPerplexity, 3);
    let scores: Float64Array = new Float64Array(1);
    for (let position = 0; position < 300; position++) {
      const next = search.survivors(scores, 4, position);
      expect(Math.max(...next.parents)).toBeLessThan(scores.length);
      expect(next.scores[0]).toBe(0);
      for (let i = 1; i < 4; i++) expect(next.scores[i]!).toBeLessThanOrEqual(next.scores[i - 1]!);
      scores = next.scores;
    }
  });

  it('depend on the seed alone', () => {
    const run = (seed: number) => {
      const search = new BeamSearch(publishedPerplexity, seed);
      let scores: Float64Array = new Float64Array(1);
      return Array.from({ length: 50 }, (_, position) => {
        const next = search.survivors(scores, 3, position);
        scores = next.scores;
        return [...next.parents];
      });
    };
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });
});

describe('what sharing saves', () => {
  const saved = (shape: { samples?: number; beamWidth?: number }, promptTokens: number, outputTokens: number) => {
    const request = { id: 'r', arrival: 0, prompt: [0, promptTokens], promptTokens, maxTokens: outputTokens };
    const limits = { numCpuBlocks: 0, blockSize: 16, maxNumSeqs: 8, maxNumBatchedTokens: 2048, maxModelLen: 2048 };
    const quiet = { firstToken: () => {}, finished: () => {}, rejected: () => {} };
    const requests = [{ ...request, ...shape, outputTokens, outputBase: 1e6 }];
    const system = createV0({ requests }, { ...limits, numBlocks: 2000, seed: 1 }, quiet);
    system.add(0);
    while (system.unfinished > 0) if (system.schedule()) system.complete();
    return system.counters.savedBlockSteps / system.counters.unsharedBlockSteps;
  };

  it('is the full blocks of the prompt for parallel samples', () => {
    // 64 prompt tokens are 4 shared blocks; 64 steps hold 4 to 8 blocks a sequence, and the prefill has one sequence.
    const steps = Array.from({ length: 63 }, (_, i) => Math.ceil((65 + i) / 16));
    const unshared = 4 + 3 * steps.reduce((a, b) => a + b, 0);
    expect(saved({ samples: 3 }, 64, 64)).toBeCloseTo((63 * 2 * 4) / unshared, 12);
  });

  it('is more for beams, which share what they have generated too', () => {
    expect(saved({ beamWidth: 4 }, 64, 400)).toBeGreaterThan(2 * saved({ samples: 4 }, 64, 400));
    expect(saved({ beamWidth: 4 }, 64, 400)).toBeLessThan(3 / 4);
  });
});
