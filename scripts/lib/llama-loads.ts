// Scores plans against published llama.cpp load logs (test/ground-truth/llamacpp-loads.json): model, KV, recurrent-state, compute and
// output buffers by place, in MiB as printed. What a case judges is listed in it, as kind or kind:place.
import { type BufferKind, bufferKinds, type Plan } from '../../src/plan/types.ts';
import type { PlanRun } from './startups.ts';

export interface LlamaLoadCase {
  id: string;
  group: string;
  build: string;
  args: string[];
  configFile?: string;
  /** MiB by kind and place: gpu0, ..., host (every CPU buffer), all. */
  observed: { buffersMiB: Partial<Record<BufferKind | 'context', Record<string, number>>> };
  judge: string[];
  note?: string;
}

export interface LlamaLoadJudgement {
  case: LlamaLoadCase;
  kind: string;
  place: string;
  predicted: number;
  observed: number;
  error: number;
}

export interface LlamaLoadScore {
  judgements: LlamaLoadJudgement[];
  refused: { id: string; message: string }[];
}

export async function scoreLoads(
  cases: readonly LlamaLoadCase[],
  run: (args: readonly string[]) => Promise<PlanRun> | PlanRun,
): Promise<LlamaLoadScore> {
  const score: LlamaLoadScore = { judgements: [], refused: [] };
  for (const entry of cases) {
    const { exitCode, plan, message } = await run(entry.args);
    if (!plan?.buffers || exitCode > 1) score.refused.push({ id: entry.id, message: message ?? `exit ${exitCode}` });
    else score.judgements.push(...judgeLoad(entry, plan));
  }
  return score;
}

function judgeLoad(entry: LlamaLoadCase, plan: Plan): LlamaLoadJudgement[] {
  const judgements: LlamaLoadJudgement[] = [];
  for (const [kind, places] of Object.entries(entry.observed.buffersMiB)) {
    for (const [place, observed] of Object.entries(places)) {
      if (!entry.judge.includes(kind) && !entry.judge.includes(`${kind}:${place}`)) continue;
      if (observed <= 0) continue;
      const predicted = predictedAt(plan, kind as BufferKind, place);
      judgements.push({ case: entry, kind, place, predicted, observed, error: predicted / observed - 1 });
    }
  }
  return judgements;
}

function predictedAt({ buffers = {} }: Plan, kind: BufferKind | 'context', place: string): number {
  const kinds: readonly BufferKind[] =
    kind === 'context' ? ['kv', 'rs'] : bufferKinds.filter((known) => known === kind);
  let sum = 0;
  for (const known of kinds) {
    for (const [at, mib] of Object.entries(buffers[known] ?? {})) {
      if (place === 'all' || place === at || (place === 'host' && !at.startsWith('gpu'))) sum += mib;
    }
  }
  return sum;
}

/** Rows of the report: name, cases, median, 90th percentile and largest of the absolute relative error. */
export function loadRows({ judgements }: LlamaLoadScore): { name: string; errors: number[] }[] {
  const groups: Record<string, (j: LlamaLoadJudgement) => boolean> = {
    model: ({ kind }) => kind === 'model',
    'KV cache': ({ kind }) => kind === 'kv',
    'recurrent state': ({ kind }) => kind === 'rs',
    'compute, GPU': ({ kind, place }) => kind === 'compute' && place.startsWith('gpu'),
    'compute, host': ({ kind, place }) => kind === 'compute' && place === 'host',
    output: ({ kind }) => kind === 'output',
  };
  return Object.entries(groups).map(([name, belongs]) => ({
    name,
    errors: judgements
      .filter(belongs)
      .map(({ error }) => Math.abs(error))
      .sort((a, b) => a - b),
  }));
}
