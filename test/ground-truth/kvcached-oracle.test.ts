// The simulator's pool of pages against kvcached's own code (ovg-project/kvcached at e8e6406), block by block. Recorded so: its files
// unchanged, csrc/page_allocator.cpp compiled into a small extension where mapping and unmapping only count bytes of one memory that
// all managers share, kv_cache_manager.py on top of it, and the ElasticBlockPool that integration/vllm/patches.py makes, with stand-ins
// for vLLM's block and block pool. Requests with common prefixes came, grew, lost blocks to a window and ended at random, as vLLM's
// allocate_slots and free would have it; after each the thread that keeps pages ready ran once, to its wait. One thing is settled that
// C++ leaves open: in which order pages are looked at whose blocks come free at once (the iteration of an unordered map); here the one
// given back first. With the order of GNU's library instead, 60 such streams of 300 used 0.2 % fewer pages and refused 1 % less often.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Replay, type Row, type Scenario } from './kvcached-replay.ts';

const cases: { scenario: Scenario; rows: Row[] }[] = [];
for (const line of readFileSync(new URL('./kvcached-blocks.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')) {
  const read = JSON.parse(line) as Scenario | Row;
  if (Array.isArray(read)) cases.at(-1)!.rows.push(read);
  else cases.push({ scenario: read, rows: [] });
}

const named = cases.map((one, i) => {
  const { pageBytes, managers, min, max, cached } = one.scenario;
  const perPage = managers.map(({ blockBytes }) => +(pageBytes / blockBytes).toFixed(2));
  return {
    name: `${i}: ${perPage.join(', ')} blocks a page, ${min} to ${max} reserved, ${cached} tokens cached`,
    ...one,
  };
});

describe('kvcached’s own code', () => {
  it.each(named)('$name: the same blocks, refusals and pages after every operation', ({ scenario, rows }) => {
    const replay = new Replay(scenario);
    for (const row of rows) {
      const { blockBytes } = scenario.managers[row[1]]!;
      const isStraddled = scenario.pageBytes % blockBytes !== 0;
      // Where blocks reach over the ends of pages, kvcached counts what it could hand out as if every page had as many as the first; what
      // it then does not find, it refuses after all. Such requests were left out of the record, and the count is not compared.
      const look = (one: unknown[]): unknown[] => (isStraddled ? withoutAvailable(one) : one);
      expect(look(replay.answer(row))).toEqual(look(row));
    }
  });

  it('was asked enough', () => {
    const rows = cases.flatMap((one) => one.rows);
    const refused = rows.filter((row) => (row as unknown[]).includes(null));
    const hits = rows.filter((row) => row[0] === 'n' && row[6] !== '');
    expect(rows.length).toBeGreaterThan(3000);
    expect(refused.length).toBeGreaterThan(200);
    expect(hits.length).toBeGreaterThan(300);
  });
});

function withoutAvailable(row: readonly unknown[]): unknown[] {
  const last = row.at(-1);
  return Array.isArray(last) ? [...row.slice(0, -1), last.slice(1)] : [row[0], row[1], ...row.slice(3)];
}
