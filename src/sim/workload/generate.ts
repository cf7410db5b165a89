// Makes requests from a synthetic spec: lengths, shared prefixes, conversations that grow, arrivals. Pure and seeded; each
// purpose draws from its own stream, so that more turns do not change the lengths of another conversation's prompts.
import type { Workload } from '../types.ts';
import { arrivalTimes, spreadConversations, withShare } from './arrivals.ts';
import { type NewRequest, WorkloadBuilder } from './builder.ts';
import { countSampler, type Distribution, sampler } from './distribution.ts';
import { type Random, randomStream } from './random.ts';
import type { SyntheticSpec } from './spec.ts';

/** Draws of a first prompt and its answer before what is too long is cut. */
const maxRedraws = 1000;

/** Token ids of one shared prefix; the prefixes stand side by side from token 0. */
const prefixSpan = 2 ** 24;

export function generateWorkload(spec: SyntheticSpec, seed: number): Workload {
  const { conversation, samples, beamWidth, requests, arrivals } = spec;
  const extras = conversation !== undefined || samples !== undefined || beamWidth !== undefined;
  const builder = new WorkloadBuilder(extras, { samples, beamWidth });
  const draw = drawsOf(spec, seed);
  // One object for all: a million requests would leave several million of them behind.
  const turn: NewRequest = {
    arrival: 0,
    promptTokens: 0,
    outputTokens: 0,
    prompt: undefined,
    maxTokens: spec.maxTokens,
    outputBase: undefined,
    after: undefined,
    thinkSeconds: undefined,
  };
  while (builder.size < requests) {
    turn.after = undefined;
    turn.thinkSeconds = undefined;
    firstTurn(turn, spec, builder, draw);
    for (let left = draw.turns(); ; left--) {
      if (conversation) turn.outputBase = builder.answerRun(turn.outputTokens);
      const index = builder.add(turn);
      if (left <= 1 || builder.size >= requests) break;
      turn.after = index;
      turn.thinkSeconds = draw.think();
      if (!laterTurn(turn, spec, builder, draw)) break;
    }
  }
  spreadConversations(builder.requests, (share) => arrivalTimes(withShare(arrivals, share), draw.arrivals));
  const made = builder.finish({ fromZero: false }).requests;
  return arrivals.kind === 'closed' ? { requests: made, concurrency: arrivals.concurrency } : { requests: made };
}

interface Draws {
  arrivals: Random;
  turns: () => number;
  firstInput: () => number;
  /** The answer to the first input that was drawn last. */
  firstOutput: () => number;
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
  const rows = stream('rows');
  let row = 0;
  const rowInput = (): number => {
    row = Math.floor(rows.uniform() * lengths!.inputs!.length);
    return lengths!.inputs![row]!;
  };
  const think = conversation && { random: stream('think'), sample: sampler(conversation.think) };
  return {
    arrivals: stream('arrivals'),
    turns: conversation ? counts('turns', conversation.turns) : () => 1,
    firstInput: lengths ? rowInput : counts('input', spec.input),
    firstOutput: lengths ? () => lengths.outputs![row]! : output,
    followup: conversation ? counts('followup', conversation.followup) : () => 1,
    output,
    think: think ? () => think.sample(think.random) : () => 0,
    prefix: prefixDraw(spec, stream),
  };
}

function firstTurn(turn: NewRequest, spec: SyntheticSpec, builder: WorkloadBuilder, draw: Draws): void {
  const { maxTokens = Number.POSITIVE_INFINITY, maxTotal = Number.POSITIVE_INFINITY } = spec;
  const prefix = draw.prefix();
  const shared = prefix ? prefix[1] - prefix[0] : 0;
  let input = draw.firstInput();
  turn.outputTokens = Math.min(draw.firstOutput(), maxTokens);
  for (let redraws = 0; shared + input + turn.outputTokens > maxTotal; redraws++) {
    input = draw.firstInput();
    turn.outputTokens = Math.min(draw.firstOutput(), maxTokens);
    if (redraws < maxRedraws) continue;
    input = Math.max(1, Math.min(input, maxTotal - shared - 1));
    turn.outputTokens = Math.max(1, Math.min(turn.outputTokens, maxTotal - shared - input));
    break;
  }
  // A first prompt that is too long is cut: a conversation has at least one turn.
  const room = (spec.maxContext ?? Number.POSITIVE_INFINITY) - turn.outputTokens - shared;
  const own = Math.max(1, Math.min(input, room));
  turn.promptTokens = shared + own;
  turn.prompt = prefix ? [...prefix, ...builder.privateRun(own)] : builder.privateRun(own);
}

/** False when the context would grow beyond its limit. */
function laterTurn(turn: NewRequest, spec: SyntheticSpec, builder: WorkloadBuilder, draw: Draws): boolean {
  const added = draw.followup();
  turn.promptTokens += turn.outputTokens + added;
  turn.outputTokens = Math.min(draw.output(), spec.maxTokens ?? Number.POSITIVE_INFINITY);
  if (turn.promptTokens + turn.outputTokens > (spec.maxContext ?? Number.POSITIVE_INFINITY)) return false;
  turn.prompt = builder.continued(turn.after!, builder.privateRun(added));
  return true;
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
