// Makes requests from a synthetic spec: lengths, shared prefixes, conversations that grow, arrivals. Pure and seeded; each
// purpose draws from its own stream, so that more turns do not change the lengths of another conversation's prompts.
import type { Workload } from '../types.ts';
import { arrivalTimes } from './arrivals.ts';
import { WorkloadBuilder } from './builder.ts';
import { countSampler, type Distribution, sampler } from './distribution.ts';
import { type Random, randomStream } from './random.ts';
import type { SyntheticSpec } from './spec.ts';

/** Token ids of one shared prefix; the prefixes stand side by side from token 0. */
const prefixSpan = 2 ** 24;

export function generateWorkload(spec: SyntheticSpec, seed: number): Workload {
  const { conversation, samples, beamWidth, requests } = spec;
  const builder = new WorkloadBuilder(conversation !== undefined || samples !== undefined || beamWidth !== undefined);
  const draw = drawsOf(spec, seed);
  while (builder.size < requests) {
    const arrival = draw.arrival();
    const turns = draw.turns();
    let previous: number | undefined;
    for (let turn = 0; turn < turns && builder.size < requests; turn++) {
      const next = previous === undefined ? firstTurn(spec, builder, draw) : laterTurn(spec, builder, draw, previous);
      if (!next) break;
      previous = builder.add({
        ...next,
        arrival,
        samples,
        beamWidth,
        ...(previous === undefined ? {} : { after: previous, thinkSeconds: draw.think() }),
      });
    }
  }
  const { arrivals } = spec;
  const made = builder.finish({ fromZero: false }).requests;
  return arrivals.kind === 'closed' ? { requests: made, concurrency: arrivals.concurrency } : { requests: made };
}

interface Draws {
  arrival: () => number;
  turns: () => number;
  /** Tokens of a first prompt and its answer. */
  first: () => { input: number; output: number };
  followup: () => number;
  output: () => number;
  think: () => number;
  /** The token run of a shared prefix, or none. */
  prefix: () => readonly [from: number, to: number] | undefined;
}

function drawsOf(spec: SyntheticSpec, seed: number): Draws {
  const stream = (purpose: string): Random => randomStream(seed, purpose);
  const counts = (purpose: string, distribution: Distribution): (() => number) => {
    const random = stream(purpose);
    const sample = countSampler(distribution);
    return () => sample(random);
  };
  const { conversation, lengths } = spec;
  const output = lengths
    ? counts('output', { kind: 'empirical', values: lengths.outputs! })
    : counts('output', spec.output);
  const input = lengths ? undefined : counts('input', spec.input);
  const rows = stream('rows');
  const think = conversation && { random: stream('think'), sample: sampler(conversation.think) };
  return {
    arrival: arrivalTimes(spec.arrivals, stream('arrivals')),
    turns: conversation ? counts('turns', conversation.turns) : () => 1,
    first: input
      ? () => ({ input: input(), output: output() })
      : () => {
          const row = Math.floor(rows.uniform() * lengths!.inputs!.length);
          return { input: lengths!.inputs![row]!, output: lengths!.outputs![row]! };
        },
    followup: conversation ? counts('followup', conversation.followup) : () => 1,
    output,
    think: think ? () => think.sample(think.random) : () => 0,
    prefix: prefixDraw(spec, stream),
  };
}

interface Turn {
  prompt?: number[];
  promptTokens: number;
  outputTokens: number;
  maxTokens?: number;
}

function firstTurn(spec: SyntheticSpec, builder: WorkloadBuilder, draw: Draws): Turn {
  const { input, output } = draw.first();
  const prefix = draw.prefix();
  const shared = prefix ? prefix[1] - prefix[0] : 0;
  const answer = answerOf(spec, output);
  // A first prompt that is too long is cut: a conversation has at least one turn.
  const room = (spec.maxContext ?? Number.POSITIVE_INFINITY) - answer.outputTokens - shared;
  const own = Math.max(1, Math.min(input, room));
  if (!prefix) return { promptTokens: own, ...answer };
  return { prompt: [...prefix, ...builder.privateRun(own)], promptTokens: shared + own, ...answer };
}

/** Undefined when the context would grow beyond its limit. */
function laterTurn(spec: SyntheticSpec, builder: WorkloadBuilder, draw: Draws, previous: number): Turn | undefined {
  const before = builder.requests[previous]!;
  const added = draw.followup();
  const answer = answerOf(spec, draw.output());
  const promptTokens = before.promptTokens + before.outputTokens + added;
  if (promptTokens + answer.outputTokens > (spec.maxContext ?? Number.POSITIVE_INFINITY)) return undefined;
  return { prompt: builder.continued(previous, builder.privateRun(added)), promptTokens, ...answer };
}

function answerOf({ maxTokens }: SyntheticSpec, output: number): { outputTokens: number; maxTokens?: number } {
  return maxTokens === undefined ? { outputTokens: output } : { outputTokens: Math.min(output, maxTokens), maxTokens };
}

function prefixDraw({ prefix }: SyntheticSpec, stream: (purpose: string) => Random): Draws['prefix'] {
  if (!prefix) return () => undefined;
  const { count, tokens, zipf, share } = prefix;
  const lengths = stream('prefix tokens');
  const sample = countSampler(tokens);
  const runs = Array.from({ length: count }, (_, at): readonly [number, number] => {
    const from = at * prefixSpan;
    return [from, from + Math.min(sample(lengths), prefixSpan)];
  });
  // Popularity of the k-th prefix: 1 / k^zipf.
  let sum = 0;
  const until = runs.map((_, at) => {
    sum += (at + 1) ** -zipf;
    return sum;
  });
  const choice = stream('prefix');
  const presence = stream('prefix presence');
  return () => {
    const wanted = choice.uniform() * sum;
    if (share < 1 && presence.uniform() >= share) return undefined;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (until[middle]! > wanted) high = middle;
      else low = middle + 1;
    }
    return runs[low];
  };
}
