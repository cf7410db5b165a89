// The static speed estimate against what others measured and published (published-speed.yaml): the accuracy that the project promises,
// held as bounds. `npm run speed` prints the figures.
import { beforeAll, describe, expect, it } from 'vitest';
import { judgeSpeeds, readPublishedSpeeds, type SpeedJudgement, summary } from '../../scripts/lib/published-speed.ts';

const rows = readPublishedSpeeds();
let judged: SpeedJudgement[];

beforeAll(async () => {
  judged = await judgeSpeeds(rows);
}, 120_000);

const distinct = (of: (judgement: SpeedJudgement) => string): number => new Set(judged.map(of)).size;

describe('published speeds', () => {
  it('are many: over twenty runs, five GPUs and five models, each with a source', () => {
    expect(judged.length).toBeGreaterThan(200);
    expect(distinct(({ row }) => row.gpu)).toBeGreaterThanOrEqual(12);
    expect(distinct(({ row }) => row.model)).toBeGreaterThanOrEqual(40);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    for (const { source, value } of rows) {
      expect(source).toMatch(/\S/);
      expect(value).toBeGreaterThan(0);
    }
  });

  it('median error at most 30 %, also of the rows that were held out', () => {
    expect(summary(judged).median).toBeLessThanOrEqual(0.3);
    expect(summary(judged.filter(({ heldOut }) => heldOut)).median).toBeLessThanOrEqual(0.3);
    expect(summary(judged.filter(({ heldOut }) => !heldOut)).median).toBeLessThanOrEqual(0.3);
  });

  it('on the whole neither fast nor slow: the middle of the signed errors within 20 %', () => {
    expect(Math.abs(summary(judged).bias)).toBeLessThanOrEqual(0.2);
  });

  it('no GPU with five runs or more is off by more than 40 % in the middle', () => {
    const gpus = [...new Set(judged.map(({ row }) => row.gpu))];
    const off = gpus
      .map((gpu) => judged.filter(({ row }) => row.gpu === gpu))
      .filter((group) => group.length >= 5 && summary(group).median > 0.4);
    expect(off.map(([first]) => first!.row.gpu)).toEqual([]);
  });

  it('two thirds of the runs lie within 30 %, and four fifths within the range that the estimate states', () => {
    expect(summary(judged).within30).toBeGreaterThan(0.66);
    const inRange = judged.filter(({ row, estimated, share }) => Math.abs(row.value / estimated - 1) <= share);
    expect(inRange.length / judged.length).toBeGreaterThan(0.8);
  });
});
