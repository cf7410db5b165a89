// 100 sequences of operations whose answers come from SGLang 0.5.9's own radix_cache.py and evict_policy.py (page size 1, a stub in
// place of tensors): lengths of matches and insertions, tokens evicted, and the evictable and protected sizes after each.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { RadixEviction } from '../../../src/sim/radix/index.ts';
import { type RadixNode, RadixTree } from '../../../src/sim/radix/tree.ts';

type Operation =
  | ['insert', extra: string, tokens: number[], priority: number, present: number, sizes: number[]]
  | ['match', extra: string, tokens: number[], lock: boolean, length: number, sizes: number[]]
  | ['unlock', index: number, sizes: number[]]
  | ['evict', tokens: number, evicted: number, sizes: number[]];

interface Recorded {
  eviction: RadixEviction;
  operations: Operation[];
}

const recorded = readFileSync('test/fixtures/sglang-radix-0.5.9.jsonl', 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded);

it('a tree does what SGLang does', () => {
  for (const { eviction, operations } of recorded) {
    const tree = new RadixTree(eviction);
    const locked: RadixNode[] = [];
    for (const operation of operations) {
      const [answer, expected] = perform(tree, locked, operation);
      expect([answer, tree.evictable, tree.protected], JSON.stringify(operation)).toEqual(expected);
      tree.check(locked);
    }
  }
});

function perform(tree: RadixTree, locked: RadixNode[], operation: Operation): [number, number[]] {
  switch (operation[0]) {
    case 'insert': {
      const [, extra, tokens, priority, present, sizes] = operation;
      return [tree.insert(tree.root(extra), runs(tokens), tokens.length, { priority }), [present, ...sizes]];
    }
    case 'match': {
      const [, extra, tokens, lock, expected, sizes] = operation;
      const { length, node } = tree.match(tree.root(extra), runs(tokens), tokens.length);
      if (lock) {
        tree.lock(node);
        locked.push(node);
      }
      return [length, [expected, ...sizes]];
    }
    case 'unlock':
      tree.unlock(locked.splice(operation[1], 1)[0]!);
      return [0, [0, ...operation[2]]];
    case 'evict':
      return [tree.evict(operation[1]), [operation[2], ...operation[3]]];
  }
}

function runs(tokens: number[]): number[] {
  return tokens.flatMap((token) => [token, token + 1]);
}
