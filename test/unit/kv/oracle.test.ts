// KV specs and pools of every case that released vLLMs answered (test/ground-truth/vllm-oracle.jsonl): layers, block size,
// number of blocks, tokens, concurrency and refusals, all of them exact.
import { describe, expect, it } from 'vitest';
import { type OracleLine, type OraclePool, oracleLines, startOf } from './oracle.ts';

const lines = oracleLines().filter((line) => line.kv);

function layersOf(line: OracleLine): string[] {
  const counts = new Map<string, number>();
  for (const [count, kind, page, block, , , , reach] of line.kv!.layers) {
    const key = [kind, page, block, reach ?? ''].join(' ');
    counts.set(key, (counts.get(key) ?? 0) + count);
  }
  return [...counts].map(([key, count]) => `${count} x ${key}`).sort();
}

function plannedLayers(line: OracleLine): string[] {
  const counts = new Map<string, number>();
  for (const spec of startOf(line).specs.stages[line.stage ?? 0]!) {
    const key = [spec.kind, spec.pageBytes, spec.blockSize, spec.window ?? spec.chunk ?? ''].join(' ');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, count]) => `${count} x ${key}`).sort();
}

function answerOf(pool: Pick<OraclePool, 'numBlocks' | 'tokens'> & { refused: boolean }): string {
  return pool.refused ? 'refused' : `${pool.numBlocks} blocks, ${pool.tokens} tokens`;
}

const releases = [...new Set(lines.map((line) => line.engine))];

describe.each(releases)('KV cache of %s', (release) => {
  const cases = lines.filter((line) => line.engine === release);

  it('builds the layer specs of every model', () => {
    for (const line of cases) {
      expect([line.id, line.kv!.blockSize, ...layersOf(line)]).toEqual([
        line.id,
        startOf(line).specs.blockSize,
        ...plannedLayers(line),
      ]);
    }
  });

  it('plans every pool', () => {
    for (const line of cases) {
      const { pool } = startOf(line);
      for (const expected of line.pools ?? []) {
        const plan = pool(expected.availableBytes, expected.maxModelLen);
        const where = `${line.id} at ${expected.maxModelLen}`;
        expect([where, answerOf({ ...plan, refused: plan.refusal !== null })]).toEqual([
          where,
          answerOf({ ...expected, refused: expected.error !== undefined }),
        ]);
        if (!expected.error) expect(Math.abs(plan.maxConcurrency - expected.concurrency!)).toBeLessThan(0.000051);
      }
    }
  });

  it('estimates the longest length that a refused start could have', () => {
    for (const line of cases) {
      const { pool } = startOf(line);
      for (const { error, availableBytes, maxModelLen } of line.pools ?? []) {
        const estimate = error && /estimated maximum model length is (\d+)/.exec(error)?.[1];
        if (!estimate) continue;
        const { refusal } = pool(availableBytes, maxModelLen);
        expect([line.id, refusal?.kind === 'too-long' && refusal.estimatedMaxLen]).toEqual([line.id, Number(estimate)]);
      }
    }
  });
});
