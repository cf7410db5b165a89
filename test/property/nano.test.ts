// nano-vllm's manager and scheduler against a model that keeps token lists, scans arrays and knows no keys: the same blocks held in
// the same order, the same queue of free blocks, the same tokens in every step.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NanoSystem } from '../../src/sim/nano/system.ts';
import type { RequestListener, SimRequest, Workload } from '../../src/sim/types.ts';
import { drive, tokensOf, workloads } from '../helpers/drive.ts';

interface Model {
  free: number[];
  /** Content of each block once its step is over; null before. */
  content: (string | null)[];
  refs: number[];
  /** Content -> block: the latest. */
  latest: Map<string, number>;
  waiting: ModelSequence[];
  running: ModelSequence[];
  scheduled: ModelSequence[];
  rejected: number;
}

interface ModelSequence {
  request: SimRequest;
  generated: number;
  table: number[];
  cached: number;
  scheduled: number;
}

interface Limits {
  blocks: number;
  blockSize: number;
  seqs: number;
  batched: number;
}

const prefix = (sequence: ModelSequence, block: number, { blockSize }: Limits) =>
  tokensOf(sequence.request, sequence.generated)
    .slice(0, (block + 1) * blockSize)
    .join();
const length = (sequence: ModelSequence) => sequence.request.promptTokens + sequence.generated;

function take(model: Model, sequence: ModelSequence): void {
  const block = model.free.shift()!;
  const content = model.content[block];
  if (content != null && model.latest.get(content) === block) model.latest.delete(content);
  model.content[block] = null;
  model.refs[block] = 1;
  sequence.table.push(block);
}

function release(model: Model, sequence: ModelSequence): void {
  for (const block of sequence.table.reverse()) if (--model.refs[block]! === 0) model.free.push(block);
  sequence.table = [];
  sequence.cached = 0;
}

function admit(model: Model, sequence: ModelSequence, limits: Limits): boolean {
  const blocks = Math.ceil(length(sequence) / limits.blockSize);
  const hits: number[] = [];
  for (let i = 0; i < blocks - 1; i++) {
    const block = model.latest.get(prefix(sequence, i, limits));
    if (block === undefined) break;
    hits.push(block);
  }
  if (blocks - hits.filter((block) => model.refs[block]! > 0).length > model.free.length) return false;
  for (const block of hits) {
    model.free = model.free.filter((other) => other !== block);
    model.refs[block]!++;
    sequence.table.push(block);
  }
  while (sequence.table.length < blocks) take(model, sequence);
  sequence.cached = hits.length * limits.blockSize;
  return true;
}

function prefill(model: Model, limits: Limits): void {
  let budget = limits.batched;
  while (model.waiting.length > 0 && model.scheduled.length < limits.seqs && budget > 0) {
    const sequence = model.waiting[0]!;
    const { free, refs, content, latest } = model;
    Object.assign(model, { free: [...free], refs: [...refs], content: [...content], latest: new Map(latest) });
    const admitted = sequence.table.length > 0;
    if (!admitted && !admit(model, sequence, limits)) break;
    const tokens = length(sequence) - sequence.cached;
    if (tokens > budget && model.scheduled.length > 0) {
      Object.assign(model, { free, refs, content, latest });
      if (!admitted) Object.assign(sequence, { table: [], cached: 0 });
      break;
    }
    sequence.scheduled = Math.min(tokens, budget);
    budget -= sequence.scheduled;
    if (sequence.scheduled === tokens) model.running.push(model.waiting.shift()!);
    model.scheduled.push(sequence);
  }
}

function decode(model: Model, limits: Limits): void {
  const needs = (sequence: ModelSequence) => length(sequence) % limits.blockSize === 1;
  const preempt = (sequence: ModelSequence) => {
    release(model, sequence);
    model.waiting.unshift(sequence);
  };
  while (model.running.length > 0 && model.scheduled.length < limits.seqs) {
    const sequence = model.running.shift()!;
    while (needs(sequence) && model.free.length === 0 && model.running.length > 0) preempt(model.running.pop()!);
    if (needs(sequence) && model.free.length === 0) preempt(sequence);
    else {
      if (needs(sequence)) take(model, sequence);
      sequence.scheduled = 1;
      model.scheduled.push(sequence);
    }
  }
  model.running.unshift(...model.scheduled);
}

function schedule(model: Model, limits: Limits): void {
  model.scheduled = [];
  prefill(model, limits);
  if (model.scheduled.length > 0) return;
  decode(model, limits);
  if (model.scheduled.length > 0 || model.waiting.length === 0) return;
  model.waiting.shift();
  model.rejected++;
  schedule(model, limits);
}

function complete(model: Model, limits: Limits): void {
  for (const sequence of model.scheduled) {
    for (let end = sequence.cached + 1; end <= sequence.cached + sequence.scheduled; end++) {
      if (end % limits.blockSize !== 0) continue;
      const index = end / limits.blockSize - 1;
      model.content[sequence.table[index]!] = prefix(sequence, index, limits);
      model.latest.set(prefix(sequence, index, limits), sequence.table[index]!);
    }
    sequence.cached += sequence.scheduled;
    sequence.scheduled = 0;
    if (sequence.cached < length(sequence)) continue;
    if (++sequence.generated < sequence.request.outputTokens) continue;
    release(model, sequence);
    model.running = model.running.filter((other) => other !== sequence);
  }
}

/** Much cheaper than expect(), for the comparisons of every step. */
function same(actual: unknown, expected: unknown): void {
  if (String(actual) !== String(expected)) expect(actual).toEqual(expected);
}

describe('nano-vllm', () => {
  it('does what a model on token lists does, over 10,000 random workloads', () => {
    const cases = fc.record({
      workload: workloads(),
      limits: fc.record({
        blocks: fc.integer({ min: 2, max: 16 }),
        blockSize: fc.integer({ min: 2, max: 4 }),
        seqs: fc.integer({ min: 1, max: 4 }),
        batched: fc.integer({ min: 1, max: 30 }),
      }),
    });
    fc.assert(
      fc.property(cases, ({ workload, limits }) => {
        const { blocks, blockSize, seqs, batched } = limits;
        const model: Model = {
          free: Array.from({ length: blocks }, (_, id) => id),
          content: new Array(blocks).fill(null),
          refs: new Array(blocks).fill(0),
          latest: new Map(),
          waiting: [],
          running: [],
          scheduled: [],
          rejected: 0,
        };
        const arrive = (index: number) => {
          const request = workload.requests[index]!;
          if (Math.ceil(request.promptTokens / blockSize) > blocks) model.rejected++;
          else model.waiting.push({ request, generated: 0, table: [], cached: 0, scheduled: 0 });
        };
        const config = { numBlocks: blocks, blockSize, maxNumSeqs: seqs, maxNumBatchedTokens: batched };
        const driven = drive(
          workload,
          (load, listener) => {
            const system = new NanoSystem(load, { ...config, maxModelLen: 1000 }, listener);
            const add = system.add.bind(system);
            system.add = (index) => {
              arrive(index);
              add(index);
            };
            return system;
          },
          {
            scheduled: (system) => {
              schedule(model, limits);
              same(system.blocks.freeOrder(), model.free);
              same(system.blocks.refs, model.refs);
              same(system.work.sequences, model.scheduled.length);
              same(
                system.work.tokens,
                model.scheduled.reduce((sum, { scheduled }) => sum + scheduled, 0),
              );
              system.check();
            },
            completed: (system) => {
              complete(model, limits);
              same(system.blocks.freeOrder(), model.free);
              system.check();
            },
          },
        );
        expect(driven.rejected.size).toBe(model.rejected);
        expect(driven.system.blocks.used).toBe(0);
      }),
      { numRuns: 10_000 },
    );
  });

  it('with parallel samples: blocks and references add up after every call, nobody is lost', () => {
    const cases = fc.record({
      workload: workloads({ samples: 4 }),
      numBlocks: fc.integer({ min: 2, max: 16 }),
      blockSize: fc.integer({ min: 2, max: 4 }),
      maxNumSeqs: fc.integer({ min: 1, max: 6 }),
      maxNumBatchedTokens: fc.integer({ min: 1, max: 30 }),
    });
    fc.assert(
      fc.property(cases, ({ workload, ...config }) => {
        const create = (load: Workload, listener: RequestListener) =>
          new NanoSystem(load, { ...config, maxModelLen: 40 }, listener);
        const { system } = drive(workload, create, {
          scheduled: (nano) => nano.check(),
          completed: (nano) => nano.check(),
        });
        same(system.blocks.used, 0);
      }),
      { numRuns: 2000 },
    );
  });
});
