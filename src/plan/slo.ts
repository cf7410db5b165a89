// `--slo ttft_p99<2s`: an objective on the latency of a simulated run, for --find-max-rate. One statistic of one latency, below
// a duration; several objectives all have to hold.
import { distance } from 'fastest-levenshtein';
import { inputError } from '../diagnostics.ts';
import type { LatencySummary, RunResult } from '../sim/result.ts';

const latencies = { ttft: 'ttftSeconds', tpot: 'tpotSeconds', e2e: 'e2eSeconds' } as const;
const statistics = ['mean', 'p50', 'p90', 'p99'] as const;
const units: Readonly<Record<string, number>> = { us: 1e-6, ms: 1e-3, s: 1, '': 1, min: 60, m: 60 };

export interface Objective {
  text: string;
  latency: keyof typeof latencies;
  statistic: keyof LatencySummary;
  inclusive: boolean;
  seconds: number;
}

/** "ttft_p99<2s, tpot_mean<=50ms". */
export function parseObjectives(text: string, option: string): Objective[] {
  return text.split(',').map((part) => parseObjective(part.trim(), option));
}

function parseObjective(text: string, option: string): Objective {
  const match = /^([a-z0-9_.]+)\s*(<=|<)\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)$/i.exec(text);
  const scale = match ? units[match[4]!.toLowerCase()] : undefined;
  if (!match || scale === undefined || !(Number(match[3]) > 0)) {
    throw inputError('VRAM653', `${option}: cannot read the objective ${JSON.stringify(text)}`, {
      hint: 'a latency below a duration, e.g. ttft_p99<2s or tpot_mean<=50ms',
      path: option,
    });
  }
  const [latency, statistic = ''] = match[1]!.toLowerCase().split(/[_.]/);
  const knownLatency = Object.keys(latencies).find((name) => name === latency);
  const knownStatistic = statistics.find((name) => name === statistic);
  if (knownLatency === undefined || knownStatistic === undefined) throw unknownFigure(match[1]!, option);
  return {
    text: text.replace(/\s+/g, ''),
    latency: knownLatency as Objective['latency'],
    statistic: knownStatistic,
    inclusive: match[2] === '<=',
    seconds: Number(match[3]) * scale,
  };
}

function unknownFigure(name: string, option: string): Error {
  const known = Object.keys(latencies).flatMap((latency) => statistics.map((statistic) => `${latency}_${statistic}`));
  const wanted = name.toLowerCase();
  const nearest = known.reduce((best, candidate) =>
    distance(wanted, candidate) < distance(wanted, best) ? candidate : best,
  );
  return inputError('VRAM654', `${option}: there is no latency ${JSON.stringify(name)}`, {
    hint: `did you mean ${nearest}? (ttft, tpot or e2e, then _${statistics.join(', _')})`,
    path: option,
  });
}

export function objectiveValue(run: RunResult, { latency, statistic }: Objective): number {
  return run.latency[latencies[latency]][statistic];
}

/** All requests served, and every objective met. */
export function objectivesHold(run: RunResult, objectives: readonly Objective[]): boolean {
  return objectives.every((objective) => {
    const value = objectiveValue(run, objective);
    return objective.inclusive ? value <= objective.seconds : value < objective.seconds;
  });
}
