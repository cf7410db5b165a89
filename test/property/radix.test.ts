// The radix tree against a model with plain token lists that scans all leaves for every eviction, and the serving systems on single
// token slots against their laws: recounted after every call, and prefix hits against the longest common prefix.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RadixEviction, radixEvictions } from '../../src/sim/radix/index.ts';
import { RadixSystem } from '../../src/sim/radix/system.ts';
import { type RadixNode, RadixTree } from '../../src/sim/radix/tree.ts';
import { TokenGranularSystem } from '../../src/sim/token-granular/system.ts';
import { drive, tokensOf, workloads } from '../helpers/drive.ts';

interface ModelNode {
  tokens: number[];
  parent: ModelNode | undefined;
  children: ModelNode[];
  locks: number;
  hits: number;
  priority: number;
  access: number;
  created: number;
}

const order: Record<RadixEviction, (node: ModelNode) => [number, number]> = {
  lru: (node) => [0, node.access],
  lfu: (node) => [node.hits, node.access],
  fifo: (node) => [0, node.created],
  mru: (node) => [0, -node.access],
  filo: (node) => [0, -node.created],
  priority: (node) => [node.priority, node.access],
  slru: (node) => [node.hits >= 2 ? 1 : 0, node.access],
};

class ModelTree {
  now = 0;
  root = this.node([], undefined, 0);

  constructor(readonly eviction: RadixEviction) {}

  node(tokens: number[], parent: ModelNode | undefined, priority: number): ModelNode {
    const time = ++this.now;
    return { tokens, parent, children: [], locks: 0, hits: 0, priority, access: time, created: time };
  }

  walk(tokens: number[], visit: (node: ModelNode) => void): { node: ModelNode; length: number } {
    const time = ++this.now;
    let node = this.root;
    let length = 0;
    for (;;) {
      const child = node.children.find((other) => other.tokens[0] === tokens[length]);
      if (child === undefined || length === tokens.length) return { node, length };
      child.access = time;
      let common = 0;
      while (common < child.tokens.length && child.tokens[common] === tokens[length + common]) common++;
      length += common;
      node = common < child.tokens.length ? this.split(child, common) : child;
      visit(node);
      if (node !== child) return { node, length };
    }
  }

  split(child: ModelNode, at: number): ModelNode {
    const head = this.node(child.tokens.slice(0, at), child.parent, child.priority);
    Object.assign(head, { locks: child.locks, hits: child.hits, children: [child] });
    const siblings = child.parent!.children;
    siblings[siblings.indexOf(child)] = head;
    child.tokens = child.tokens.slice(at);
    child.parent = head;
    return head;
  }

  insert(tokens: number[], priority: number, chunk: boolean): number {
    const { node, length } = this.walk(tokens, (passed) => {
      passed.priority = Math.max(passed.priority, priority);
      if (!chunk) passed.hits++;
    });
    if (length < tokens.length) {
      const leaf = this.node(tokens.slice(length), node, priority);
      if (!chunk) leaf.hits = 1;
      node.children.push(leaf);
    }
    return length;
  }

  lock(from: ModelNode, by: number): void {
    for (let node = from; node.parent !== undefined; node = node.parent) node.locks += by;
  }

  evict(tokens: number): number {
    const rank = order[this.eviction];
    let evicted = 0;
    while (evicted < tokens) {
      const leaves = this.all().filter((node) => node.children.length === 0 && node.locks === 0);
      const first = leaves.sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1])[0];
      if (first === undefined) break;
      first.parent!.children = first.parent!.children.filter((node) => node !== first);
      evicted += first.tokens.length;
    }
    return evicted;
  }

  all(): ModelNode[] {
    const nodes = [...this.root.children];
    for (const node of nodes) nodes.push(...node.children);
    return nodes;
  }
}

const tokens = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 9 });
const operation = fc.oneof(
  fc.record({ kind: fc.constant('insert' as const), tokens, priority: fc.nat(2), chunk: fc.boolean() }),
  fc.record({ kind: fc.constant('match' as const), tokens, lock: fc.boolean() }),
  fc.record({ kind: fc.constant('unlock' as const), index: fc.nat(5) }),
  fc.record({ kind: fc.constant('evict' as const), tokens: fc.integer({ min: 1, max: 12 }) }),
);

/** Runs as a prompt could be written: ascending neighbours are one run. */
function runs(list: readonly number[]): number[] {
  const cut: number[] = [];
  for (const token of list) {
    if (cut.at(-1) === token) cut[cut.length - 1] = token + 1;
    else cut.push(token, token + 1);
  }
  return cut;
}

const paths = (nodes: Iterable<{ tokens: readonly number[]; locks: number }>) =>
  [...nodes].map(({ tokens: list, locks }) => `${list.join()}:${locks}`).sort();

describe('the radix tree, 10,000 random sequences', () => {
  it('matches, splits, locks and evicts as the model does', () => {
    const cases = fc.record({
      eviction: fc.constantFrom(...radixEvictions),
      operations: fc.array(operation, { maxLength: 40 }),
    });
    fc.assert(
      fc.property(cases, ({ eviction, operations }) => {
        const tree = new RadixTree(eviction);
        const model = new ModelTree(eviction);
        const locked: [RadixNode, ModelNode][] = [];
        for (const step of operations) {
          if (step.kind === 'insert') {
            const { priority, chunk } = step;
            const present = tree.insert(tree.root(), runs(step.tokens), step.tokens.length, { priority, chunk });
            same(present, model.insert(step.tokens, priority, chunk));
          } else if (step.kind === 'match') {
            const found = tree.match(tree.root(), runs(step.tokens), step.tokens.length);
            const expected = model.walk(step.tokens, () => {});
            same(found.length, expected.length);
            if (step.lock) {
              tree.lock(found.node);
              model.lock(expected.node, 1);
              locked.push([found.node, expected.node]);
            }
          } else if (step.kind === 'unlock') {
            const [pair] = locked.splice(step.index, 1);
            if (pair === undefined) continue;
            tree.unlock(pair[0]);
            model.lock(pair[1], -1);
          } else {
            same(tree.evict(step.tokens), model.evict(step.tokens));
          }
          tree.check(locked.map(([node]) => node));
        }
        const nodes = Array.from(tree.nodes(), (node) => ({ tokens: spell(node.runs), locks: node.locks }));
        expect(paths(nodes)).toEqual(paths(model.all()));
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('servers on token slots, 10,000 random workloads each', () => {
  it('radix: slots and locks add up after every call, nobody is lost', () => {
    const cases = fc.record({
      workload: workloads({ output: 24, samples: 3 }),
      poolTokens: fc.integer({ min: 16, max: 60 }),
      chunkedPrefillSize: fc.integer({ min: 1, max: 20 }),
      maxRunningRequests: fc.integer({ min: 1, max: 6 }),
      schedulePolicy: fc.constantFrom('fcfs' as const, 'lpm' as const),
      eviction: fc.constantFrom(...radixEvictions),
      prefixCaching: fc.boolean(),
    });
    let preemptions = 0;
    fc.assert(
      fc.property(cases, ({ workload, ...options }) => {
        const config = { ...options, maxModelLen: 50, maxPrefillTokens: 24, scheduleConservativeness: 0.05 };
        const driven = drive(workload, (load, listener) => new RadixSystem(load, config, listener), {
          scheduled: (system) => system.check(),
          completed: (system) => system.check(),
        });
        preemptions += driven.preempted.length;
        same(driven.system.memoryState.used, 0);
        for (const request of workload.requests.keys()) {
          if (driven.rejected.has(request)) continue;
          expect(driven.finished.get(request)! >= driven.firstToken.get(request)!).toBe(true);
        }
      }),
      { numRuns: 10_000 },
    );
    expect(preemptions).toBeGreaterThan(100);
  });

  it('radix: in a pool that never fills, one request at a time finds the longest common prefix', () => {
    fc.assert(
      fc.property(workloads({ requests: 6 }), (workload) => {
        const config = { poolTokens: 10_000, maxModelLen: 5000, maxRunningRequests: 1 };
        const { system } = drive(workload, (load, listener) => new RadixSystem(load, config, listener));
        const seen: number[][] = [];
        let hits = 0;
        for (const request of workload.requests) {
          const all = tokensOf(request, request.outputTokens - 1);
          const prompt = all.slice(0, request.promptTokens - 1);
          hits += Math.max(0, ...seen.map((other) => common(prompt, other)));
          seen.push(all);
        }
        same(system.counters.hitTokens, hits);
      }),
      { numRuns: 2000 },
    );
  });

  it('token-granular: slots add up after every call; with the default ratio nobody is ever paused', () => {
    const cases = fc.record({
      workload: workloads({ output: 24, samples: 3 }),
      poolTokens: fc.integer({ min: 16, max: 60 }),
      maxRunningRequests: fc.integer({ min: 1, max: 6 }),
      tokenRatio: fc.constantFrom(0, 0.5, 1),
    });
    let preemptions = 0;
    fc.assert(
      fc.property(cases, ({ workload, ...options }) => {
        const config = { ...options, maxModelLen: 50, newTokenEstimate: 2 };
        const driven = drive(workload, (load, listener) => new TokenGranularSystem(load, config, listener), {
          scheduled: (system) => system.check(),
          completed: (system) => system.check(),
        });
        preemptions += driven.preempted.length;
        if (options.tokenRatio === 0) same(driven.preempted.length, 0);
      }),
      { numRuns: 10_000 },
    );
    expect(preemptions).toBeGreaterThan(100);
  });
});

/** Much cheaper than expect(), for the comparisons of every step. */
function same(actual: number, expected: number): void {
  if (actual !== expected) expect(actual).toBe(expected);
}

function common(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

function spell(list: readonly number[]): number[] {
  const spelled: number[] = [];
  for (let i = 0; i < list.length; i += 2)
    for (let token = list[i]!; token < list[i + 1]!; token++) spelled.push(token);
  return spelled;
}
