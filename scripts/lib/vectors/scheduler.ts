// Vectors of kind `scheduler`: calls of the scheduler and model output given by hand, which may come after further calls.
import { assert } from '../../../src/assert.ts';
import { admittedFlag, Batch } from '../../../src/sim/paged/batch.ts';
import { KvManager } from '../../../src/sim/paged/kv-manager.ts';
import { Scheduler } from '../../../src/sim/paged/scheduler.ts';
import { Sequence } from '../../../src/sim/paged/sequence.ts';
import { type Compare, configOf, type Fields, requestOf, type Vector, vectorRules } from './common.ts';

export function runScheduler(vector: Vector, compare: Compare): void {
  const run = new SchedulerVector(vector);
  vector.steps?.forEach((step, i) => {
    const expect = (step.expect ?? {}) as Fields;
    const actual = run.step(step, expect);
    for (const [field, expected] of Object.entries(expect))
      compare(`step ${i + 1} (${String(step.op)}) ${field}`, actual[field], expected);
  });
}

class SchedulerVector {
  private readonly kv: KvManager;
  private readonly scheduler: Scheduler;
  private readonly sequences = new Map<string, Sequence>();
  private readonly outputs = new Map<string, number[]>();
  private preempted: string[] = [];

  constructor(vector: Vector) {
    const config = configOf(vector.config ?? {});
    this.kv = new KvManager(config, vectorRules());
    this.scheduler = new Scheduler(config, vectorRules(), this.kv);
    this.scheduler.onPreempt = ({ request }) => void this.preempted.push(request.id);
  }

  step(step: Fields, expect: Fields): Fields {
    switch (step.op) {
      case 'add':
        return this.add(step.requests as Fields[]);
      case 'schedule':
        return this.schedule(expect);
      case 'output':
        return this.output(step.sampled as Record<string, number[]>);
      case 'finish':
        return this.finish(String(step.id));
      case 'reset':
        return this.reset(step.preempt_running === true);
      case 'check':
        return this.check();
      default:
        throw new Error(`unknown operation ${String(step.op)}`);
    }
  }

  /** Ties of priority go by arrival, then by the order of the list; the rank of arrival is what sequences carry. */
  private add(requests: readonly Fields[]): Fields {
    for (const fields of requests) {
      const id = String(fields.id);
      const token = fields.token as number;
      const runs = Array.from({ length: 2 * (fields.prompt_tokens as number) }, (_, i) => token + (i % 2));
      const request = requestOf(id, runs, { priority: (fields.priority as number | undefined) ?? 0 });
      const rank = ((fields.arrival as number | undefined) ?? 0) + this.sequences.size * 1e-6;
      const sequence = new Sequence(this.sequences.size, request, rank, this.kv.tables(request.promptTokens));
      this.sequences.set(id, sequence);
      this.outputs.set(id, []);
      this.scheduler.add(sequence);
    }
    return {};
  }

  private schedule(expect: Fields): Fields {
    this.preempted = [];
    const batch = new Batch();
    this.scheduler.schedule(batch);
    const fresh: string[] = [];
    const resumed: string[] = [];
    const running: string[] = [];
    const tokens: Record<string, number> = {};
    for (let i = 0; i < batch.count; i++) {
      const sequence = batch.sequences[i];
      if (!sequence) continue;
      const { id } = sequence.request;
      tokens[id] = batch.tokens[i] as number;
      const admitted = ((batch.flags[i] as number) & admittedFlag) !== 0;
      if (!admitted) running.push(id);
      else if (sequence.preemptions > 0) resumed.push(id);
      else fresh.push(id);
    }
    const set = expect.new_set as string[] | undefined;
    const counts = (expect.block_counts ?? {}) as Fields;
    return {
      new: fresh,
      new_set: set && set.length === fresh.length && set.every((id) => fresh.includes(id)) ? set : fresh,
      new_count: fresh.length,
      resumed,
      resumed_or_running: [...running, ...resumed],
      scheduled_tokens: tokens,
      running: this.scheduler.running.map(({ request }) => request.id),
      running_count: this.scheduler.running.length,
      waiting: [...this.scheduler.line.queue].map(({ request }) => request.id),
      preempted: this.preempted,
      free_count: this.kv.pool.free,
      block_counts: Object.fromEntries(Object.keys(counts).map((id) => [id, this.of(id).tables[0]?.length])),
    };
  }

  private output(sampled: Record<string, number[]>): Fields {
    for (const [id, tokens] of Object.entries(sampled)) {
      const sequence = this.of(id);
      if (sequence.state === 'finished') continue;
      this.outputs.get(id)?.push(...tokens);
      for (const token of tokens) (sequence.request.output as number[]).push(token, token + 1);
      sequence.known += tokens.length;
    }
    return {};
  }

  private finish(id: string): Fields {
    const sequence = this.of(id);
    const place = this.scheduler.running.indexOf(sequence);
    if (place >= 0) this.scheduler.running.splice(place, 1);
    else this.scheduler.line.remove(sequence);
    sequence.state = 'finished';
    this.kv.free(sequence);
    return {};
  }

  private reset(preemptRunning: boolean): Fields {
    const { running } = this.scheduler;
    if (preemptRunning)
      for (let sequence = running.pop(); sequence; sequence = running.pop())
        this.scheduler.preempt(sequence, false, true);
    return { ok: this.kv.pool.reset() };
  }

  private check(): Fields {
    const each = (value: (id: string, sequence: Sequence) => unknown): Fields =>
      Object.fromEntries([...this.sequences].map(([id, sequence]) => [id, value(id, sequence)]));
    return {
      output_tokens: each((id) => this.outputs.get(id)),
      total_tokens: each((_, sequence) => sequence.known),
      last_token: each((id, { request }) => this.outputs.get(id)?.at(-1) ?? (request.prompt.at(-1) ?? 0) - 1),
      running: this.scheduler.running.map(({ request }) => request.id),
      waiting: [...this.scheduler.line.queue].map(({ request }) => request.id),
      free_count: this.kv.pool.free,
    };
  }

  private of(id: string): Sequence {
    const sequence = this.sequences.get(id);
    assert(sequence, `no request ${id}`);
    return sequence;
  }
}
