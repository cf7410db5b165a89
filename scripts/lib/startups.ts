// Scores plans against published vLLM start-up logs (test/ground-truth/vllm-startups.json). Each quantity is judged apart, the
// budget (KV bytes) apart from the layout (bytes to tokens), so that errors cannot cancel. How: the header of that file's
// README: the device with least room, relative errors, per group of like cases its worst case.
import type { BudgetItem, Plan } from '../../src/plan/types.ts';
import { GiB } from '../../src/units.ts';

export const quantities = [
  'weights',
  'activation',
  'nonTorch',
  'graphs',
  'kv',
  'tokens',
  'numBlocks',
  'concurrency',
] as const;
export type Quantity = (typeof quantities)[number];

export interface StartupCase {
  id: string;
  group: string;
  vllmVersion: string;
  gpu: string | null;
  args: string[];
  argsById?: string[];
  configFile: string;
  outcome: 'started' | 'refused' | 'no-kv-memory';
  observed: Record<string, number | null>;
  judge: string[];
  note?: string;
}

export interface PlanRun {
  exitCode: number;
  plan?: Plan;
  message?: string;
}

export interface Judgement {
  case: StartupCase;
  quantity: Quantity | 'bytesToTokens';
  predicted: number;
  observed: number;
  /** (predicted - observed) / observed */
  error: number;
  /** For bytesToTokens: the largest error that the printed decimals allow. */
  allowed?: number;
}

export interface StartupScore {
  judgements: Judgement[];
  refused: { id: string; message: string }[];
  wrongVerdicts: { id: string; outcome: string; fits: boolean }[];
  verdicts: number;
}

const observedKey: Record<Quantity, string> = {
  weights: 'weightsGiB',
  activation: 'activationGiB',
  nonTorch: 'nonTorchGiB',
  graphs: 'graphsGiB',
  kv: 'kvGiB',
  tokens: 'tokens',
  numBlocks: 'numBlocks',
  concurrency: 'maxConcurrency',
};

export async function scoreStartups(
  cases: readonly StartupCase[],
  run: (args: readonly string[]) => Promise<PlanRun> | PlanRun,
  progress: (done: number) => void = () => undefined,
): Promise<StartupScore> {
  const score: StartupScore = { judgements: [], refused: [], wrongVerdicts: [], verdicts: 0 };
  for (const [index, entry] of cases.entries()) {
    const { exitCode, plan, message } = await run(entry.args);
    if (!plan || exitCode > 1) score.refused.push({ id: entry.id, message: message ?? `exit ${exitCode}` });
    else {
      judgeVerdict(entry, plan, score);
      score.judgements.push(...judgeFigures(entry, plan));
      const bytes = await judgeBytesToTokens(entry, run);
      if (bytes) score.judgements.push(bytes);
    }
    progress(index + 1);
  }
  return score;
}

function judgeVerdict(entry: StartupCase, plan: Plan, score: StartupScore): void {
  if (!entry.judge.includes('verdict')) return;
  score.verdicts++;
  if (plan.verdict.fits !== (entry.outcome === 'started')) {
    score.wrongVerdicts.push({ id: entry.id, outcome: entry.outcome, fits: plan.verdict.fits });
  }
}

function judgeFigures(entry: StartupCase, plan: Plan): Judgement[] {
  const items = tightestItems(plan);
  const bytesOf = (id: BudgetItem['id']): number => (items.find((item) => item.id === id)?.bytes ?? 0) / GiB;
  const predicted: Record<Quantity, number> = {
    weights: bytesOf('weights'),
    activation: bytesOf('activations'),
    nonTorch: bytesOf('non-torch'),
    graphs: bytesOf('graphs'),
    kv: plan.kvCache.bytes / GiB,
    tokens: plan.kvCache.tokens,
    numBlocks: plan.kvCache.numBlocks,
    concurrency: plan.kvCache.maxConcurrency,
  };
  return quantities.flatMap((quantity) => {
    const observed = entry.observed[observedKey[quantity]];
    if (!entry.judge.includes(quantity) || typeof observed !== 'number' || observed <= 0) return [];
    if (quantity === 'kv' && observed <= 0.5) return [];
    return [
      {
        case: entry,
        quantity,
        predicted: predicted[quantity],
        observed,
        error: (predicted[quantity] - observed) / observed,
      },
    ];
  });
}

function tightestItems(plan: Plan): readonly BudgetItem[] {
  const room = (items: readonly BudgetItem[], budget: number): number =>
    budget -
    items
      .filter(({ id }) => id === 'weights' || id === 'activations' || id === 'non-torch')
      .reduce((a, item) => a + item.bytes, 0);
  let best = plan.devices[0]!;
  for (const device of plan.devices)
    if (room(device.items, device.budgetBytes) < room(best.items, best.budgetBytes)) best = device;
  return best.items;
}

/** The same run with the KV memory that the log printed: only the layout of the cache is left to be wrong. */
async function judgeBytesToTokens(
  entry: StartupCase,
  run: (args: readonly string[]) => Promise<PlanRun> | PlanRun,
): Promise<Judgement | undefined> {
  const { kvGiB, tokens, numBlocks, maxConcurrency } = entry.observed;
  if (!entry.judge.includes('bytesToTokens') || !kvGiB) return undefined;
  const observed = tokens ?? numBlocks ?? maxConcurrency;
  if (!observed) return undefined;
  const { plan } = await run([...entry.args, '--kv-cache-memory-bytes', String(Math.round(kvGiB * GiB))]);
  if (!plan) return undefined;
  const { kvCache } = plan;
  const predicted = tokens ? kvCache.tokens : numBlocks ? kvCache.numBlocks : kvCache.maxConcurrency;
  const groupCount = kvCache.groups.reduce((count, group) => count + group.count, 0) || 1;
  const allowed = 0.005 / kvGiB + (groupCount + 1) / Math.max(kvCache.numBlocks, 1);
  return {
    case: entry,
    quantity: 'bytesToTokens',
    predicted,
    observed,
    error: (predicted - observed) / observed,
    allowed,
  };
}

export interface Statistics {
  count: number;
  median: number;
  p90: number;
  max: number;
  signedMedian: number;
}

/** Over all judgements, each case for itself. */
export function statistics(judgements: readonly Judgement[]): Statistics {
  const errors = judgements.map(({ error }) => error);
  const absolute = errors.map(Math.abs);
  return {
    count: errors.length,
    median: quantile(absolute, 0.5),
    p90: quantile(absolute, 0.9),
    max: Math.max(0, ...absolute),
    signedMedian: quantile(errors, 0.5),
  };
}

/** Cases that differ only in length, dtype or utilization count once, by the worst of them. */
export function worstOfGroups(judgements: readonly Judgement[]): Judgement[] {
  const worst = new Map<string, Judgement>();
  for (const judgement of judgements) {
    const before = worst.get(judgement.case.group);
    if (!before || Math.abs(judgement.error) > Math.abs(before.error)) worst.set(judgement.case.group, judgement);
  }
  return [...worst.values()];
}

/** Linear interpolation between order statistics. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low]! + (sorted[Math.min(low + 1, sorted.length - 1)]! - sorted[low]!) * (at - low);
}
