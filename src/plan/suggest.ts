// Ways out when a plan does not fit, from the least to the most costly change; of each kind the mildest that works. Each is
// planned before it is shown; what does not fit either is not suggested.
import { smallGib, thousands, times } from '../numbers.ts';
import type { PlanRequest } from './request.ts';
import { nothingLoaded, type Plan, type Suggestion } from './types.ts';
import {
  type Alternatives,
  asItIs,
  type Candidate,
  type Kind,
  lengthFlag,
  otherSettings,
  otherTensorParallel,
  otherWeights,
  type Planner,
  shorterSequences,
  usefulLength,
  withOptions,
  works,
} from './ways-out.ts';

export function suggest(request: PlanRequest, alternatives: Alternatives, plan: Planner): Suggestion[] {
  const suggestions: Suggestion[] = [];
  const start = withinFreeMemory(request, plan(request));
  for (const kind of kindsFor(plan(start.request), start)) {
    for (const candidate of kind(start.request, alternatives, plan)) {
      const found = tried({ ...candidate, flags: [...start.flags, ...candidate.flags] }, alternatives, plan);
      if (!found) continue;
      suggestions.push(found);
      break;
    }
  }
  return suggestions;
}

/** Where other processes hold memory, every way out begins with a utilization that what is free can honour. */
function withinFreeMemory(request: PlanRequest, { devices }: Plan): Pick<Candidate, 'request' | 'flags'> {
  const free = Math.min(...(request.freeMemoryBytes ?? []));
  const { totalBytes, budgetBytes } = devices[0]!;
  const utilization = Math.floor((100 * free) / totalBytes) / 100;
  if (free >= budgetBytes || utilization <= 0) return { request, flags: [] };
  return {
    request: withOptions(request, { gpuMemoryUtilization: utilization }),
    flags: [{ flag: '--gpu-memory-utilization', value: String(utilization), because: 'no more than is free' }],
  };
}

/** What is worth trying: where the weights alone are too large, no setting of the cache or the batch helps. */
function kindsFor(planned: Plan, start: Pick<Candidate, 'flags'>): readonly Kind[] {
  const { verdict, workload } = planned;
  if (nothingLoaded(planned)) return [otherTensorParallel];
  const lacksMemory =
    !verdict.capacityFits || workload?.fits === false || /out ?of ?memory/i.test(verdict.engineError ?? '');
  if (start.flags.length > 0 && !weightsTooLarge(planned)) return [asItIs, ...otherSettings, ...otherWeights];
  if (!lacksMemory) return [shorterSequences, otherTensorParallel];
  return weightsTooLarge(planned) ? otherWeights : [...otherSettings, ...otherWeights];
}

function weightsTooLarge({ devices }: Plan): boolean {
  return devices.some(({ weights, totalBytes }) => weights.loadedBytes >= totalBytes);
}

/** The candidate as it is, else with sequences short enough to make it fit. */
function tried(candidate: Candidate, { maxModelLen }: Alternatives, plan: Planner): Suggestion | undefined {
  const planned = plan(candidate.request);
  if (works(planned)) return { change: written(candidate), effect: effectOf(planned), flags: candidate.flags };
  if (!candidate.mayShorten || weightsTooLarge(planned)) return undefined;
  const length = readableLength(candidate.request, maxModelLen, plan);
  if (length === undefined) return undefined;
  const shorter: Candidate = {
    ...candidate,
    request: withOptions(candidate.request, { maxModelLen: length }),
    flags: [...candidate.flags, lengthFlag(length, 'a length that fits')],
  };
  return { change: written(shorter), effect: effectOf(plan(shorter.request)), flags: shorter.flags };
}

/** A round length that fits, close to the longest. */
function readableLength(request: PlanRequest, maxModelLen: number, plan: Planner): number | undefined {
  const least = Math.max(request.context ?? usefulLength, 1);
  if (least >= maxModelLen) return undefined;
  const first = plan(withOptions(request, { maxModelLen: least }));
  if (!works(first)) return undefined;
  const capacity = Math.min(first.kvCache.maxConcurrency * least, maxModelLen - 1);
  for (const share of [0.99, 0.9, 0.75]) {
    const length = Math.floor((capacity * share) / 256) * 256;
    if (length > least && works(plan(withOptions(request, { maxModelLen: length })))) return length;
  }
  return least;
}

function written({ change, flags }: Candidate): string {
  const words = flags.map(({ flag, value }) => (value === null ? flag : `${flag} ${value}`)).join(' ');
  return words === '' ? change : `${change} (${words})`;
}

function effectOf({ kvCache, verdict, workload }: Plan): string {
  const capacity = `${thousands(kvCache.tokens)} tokens`;
  if (workload) {
    const most = `${thousands(workload.maxConcurrencyAtContext)} sequences of ${thousands(workload.context)}`;
    return `then ${capacity}, ${most}; ${smallGib(verdict.headroomBytes)} to spare`;
  }
  const sequences = `${times(kvCache.maxConcurrency)} sequences of ${thousands(kvCache.maxModelLen)}`;
  return `then ${capacity}, ${sequences}; ${smallGib(verdict.headroomBytes)} to spare`;
}
