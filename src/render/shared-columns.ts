// The columns of the tables about several models on one GPU, for every form: what a policy did with the memory, what requests saw of
// it, and both model by model. A column is a head of two lines, a name for forms with room, and the text of a row.
import { thousands } from '../numbers.ts';
import type { NamedSharedModel, SharedPolicyResult } from '../plan/shared-output.ts';
import { GiB } from '../units.ts';
import { seconds, tokens } from './simulate-text.ts';

export interface Column<Row> {
  /** Two lines in a terminal. */
  head: readonly [string, string];
  name: string;
  text: (row: Row) => string;
  /** What the figure is, where the head does not say it. */
  means?: string;
  /** Left out where there is nothing of the kind. */
  when?: (row: Row) => boolean;
  /** Left out where the lines would be too wide, the smallest number first. */
  spare?: number;
}

interface ColumnsOf<Row> {
  columns: readonly Column<Row>[];
  rows: readonly { row: Row }[];
}

export function shownColumns<Row>(columns: readonly Column<Row>[], rows: readonly { row: Row }[]): Column<Row>[] {
  return columns.filter(({ when }) => when === undefined || rows.some(({ row }) => when(row)));
}

/** What the columns that are shown mean, as one sentence. */
export function meaningOf<Row>({ columns, rows }: ColumnsOf<Row>): string {
  return shownColumns(columns, rows)
    .flatMap(({ means }) => means ?? [])
    .join('; ');
}

export const memoryColumns: readonly Column<SharedPolicyResult>[] = [
  { head: ['tokens', '%'], name: 'tokens %', text: ({ pool }) => ofPool(pool.tokenShare, pool) },
  {
    head: ['mapped', '%'],
    name: 'mapped %',
    means: 'tokens, mapped: bytes of tokens and bytes that models hold, over those of the pool, as means over time',
    text: ({ pool }) => ofPool(pool.mappedShare, pool),
  },
  {
    head: ['cached', '%'],
    name: 'cached %',
    text: ({ pool }) => ofPool(pool.cachedShare, pool),
    when: ({ pool }) => pool.cachedShare > 0,
    means: 'cached: of these, prefixes kept for later',
    spare: 4,
  },
  {
    head: ['frag.', '%'],
    name: 'frag. %',
    means: 'frag.: of what is mapped, neither in use nor cached',
    text: ({ pool }) => share(pool.fragmentationShare),
  },
  {
    head: ['stranded', 'GiB'],
    name: 'stranded GiB',
    means: 'stranded: free in one model while another refuses',
    text: ({ pool }) => inGib(pool.strandedBytes),
  },
  { head: ['', '% time'], name: 'stranded % of time', text: ({ pool }) => share(pool.strandedTimeShare) },
  {
    head: ['', 'maps'],
    name: 'maps',
    means: 'maps: page ids mapped',
    text: ({ pool }) => tokens(pool.maps),
  },
  {
    head: ['', 'mapping'],
    name: 'map and unmap time',
    text: ({ pool }) => seconds(pool.mapSeconds + pool.unmapSeconds),
    spare: 2,
  },
  {
    head: ['', 'denied'],
    name: 'denied',
    means: 'denied: a page was wanted and the pool had none',
    text: ({ pool }) => tokens(pool.denied),
    when: ({ pool }) => pool.denied > 0,
    spare: 1,
  },
];

export const requestColumns: readonly Column<SharedPolicyResult>[] = [
  {
    head: ['', 'done'],
    name: 'finished',
    text: ({ pool }) => tokens(pool.requests.finished),
    when: ({ pool }) => pool.requests.finished < pool.requests.total,
  },
  { head: ['', 'pre.'], name: 'pre.', means: 'pre.: preemptions', text: ({ pool }) => tokens(pool.preemptions) },
  {
    head: ['', 'refused'],
    name: 'refused',
    means: 'refused: times the head of a queue found no blocks',
    text: ({ pool }) => tokens(pool.refusals),
  },
  {
    head: ['', 'for'],
    name: 'refused for',
    means: 'for: how long, summed over the models',
    text: ({ pool }) => seconds(pool.refusedSeconds),
    spare: 1,
  },
  { head: ['TTFT', 'p50'], name: 'TTFT p50', text: (row) => latency(row, 'ttftSeconds', 'p50'), spare: 3 },
  { head: ['TTFT', 'p99'], name: 'TTFT p99', text: (row) => latency(row, 'ttftSeconds', 'p99') },
  { head: ['TPOT', 'p50'], name: 'TPOT p50', text: (row) => latency(row, 'tpotSeconds', 'p50'), spare: 2 },
  { head: ['TPOT', 'p99'], name: 'TPOT p99', text: (row) => latency(row, 'tpotSeconds', 'p99') },
  {
    head: ['SLO', '%'],
    name: 'SLO %',
    means: 'SLO: requests that held their objective (5 times what they take alone, where the file gives none)',
    text: ({ pool }) => share(pool.sloAttainment),
  },
  {
    head: ['load', 'held'],
    name: 'load held',
    means: 'load held: the highest multiple of this load at which 99 % hold it',
    text: ({ maxRate }) => (maxRate?.scale ? `${maxRate.scale}x` : '-'),
    when: ({ maxRate }) => maxRate !== undefined,
  },
  {
    head: ['', 'fair'],
    name: 'fair',
    means: "fair: Jain's index over the relative speeds of the models, 1 when all are served alike",
    text: ({ pool }) => pool.fairness.toFixed(2),
  },
];

export const modelColumns: readonly Column<NamedSharedModel>[] = [
  { head: ['', 'req.'], name: 'requests', spare: 1, text: ({ requests }) => tokens(requests.total) },
  {
    head: ['', 'done'],
    name: 'finished',
    text: ({ requests }) => tokens(requests.finished),
    when: ({ requests }) => requests.finished < requests.total,
  },
  { head: ['TTFT', 'p99'], name: 'TTFT p99', text: (model) => modelLatency(model, 'ttftSeconds') },
  { head: ['TPOT', 'p99'], name: 'TPOT p99', spare: 3, text: (model) => modelLatency(model, 'tpotSeconds') },
  { head: ['SLO', '%'], name: 'SLO %', text: ({ slo }) => share(slo.attainment) },
  {
    head: ['speed', '%'],
    name: 'speed %',
    means: 'speed: the time alone on the GPU over the time here, mean over requests',
    text: ({ relativeSpeed }) => share(relativeSpeed),
  },
  {
    head: ['', 'pre.'],
    name: 'pre.',
    text: ({ preemptions }) => tokens(preemptions.recompute + preemptions.swap),
  },
  { head: ['', 'refused'], name: 'refused', text: ({ refusals }) => tokens(refusals.count) },
  { head: ['GiB', 'mean'], name: 'mean GiB', spare: 2, text: ({ memoryBytes }) => inGib(memoryBytes.meanMapped) },
  {
    head: ['', 'peak'],
    name: 'peak GiB',
    means: 'GiB: KV memory mapped',
    text: ({ memoryBytes }) => inGib(memoryBytes.peakMapped),
  },
];

export const loadColumns: readonly Column<NamedSharedModel>[] = [
  { head: ['from', 'host'], name: 'loads from host', text: ({ loads }) => tokens(loads.fromHost) },
  { head: ['from', 'disk'], name: 'loads from disk', text: ({ loads }) => tokens(loads.fromDisk) },
  { head: ['', 'unloads'], name: 'unloads', text: ({ loads }) => tokens(loads.unloads) },
  {
    head: ['', 'switches'],
    name: 'switches',
    text: ({ loads }) => tokens(loads.switches),
    when: ({ loads }) => loads.switches > 0,
  },
  { head: ['', 'loading'], name: 'loading', text: ({ loads }) => seconds(loads.seconds) },
  {
    head: ['', 'waited for'],
    name: 'waited for',
    means: 'waited for: time in which requests were there and the weights were not',
    text: ({ loads }) => seconds(loads.waitSeconds),
  },
];

export function anyLoads(models: readonly NamedSharedModel[]): boolean {
  return models.some(({ loads }) => loads.fromHost + loads.fromDisk + loads.unloads + loads.switches > 0);
}

/** Weights that came and went in a whole run. */
export const switchColumns: readonly Column<SharedPolicyResult>[] = [
  { head: ['', 'loads'], name: 'loads', text: ({ pool }) => tokens(pool.loads) },
  { head: ['', 'unloads'], name: 'unloads', text: ({ pool }) => tokens(pool.unloads) },
  {
    head: ['', 'switches'],
    name: 'switches',
    means: 'switches: of the unloads, busy models taken off',
    text: ({ pool }) => tokens(pool.switches),
    when: ({ pool }) => pool.switches > 0,
  },
  { head: ['', 'loading'], name: 'loading', text: ({ pool }) => seconds(pool.loadSeconds) },
  {
    head: ['', 'waited for'],
    name: 'waited for',
    means: 'waited for: time in which requests were there and the weights were not, summed over the models',
    text: ({ pool }) => seconds(pool.loadWaitSeconds),
  },
];

export function anySwitches(runs: readonly SharedPolicyResult[]): boolean {
  return runs.some(({ pool }) => pool.loads + pool.unloads + pool.switches > 0);
}

/** Where not all models fit at once, there is no pool of which a share could be told; nor where those who are away left room for more. */
function ofPool(value: number, { poolBytes }: SharedPolicyResult['pool']): string {
  return poolBytes > 0 && value < 1.0005 ? share(value) : '-';
}

function share(value: number): string {
  return (value * 100).toFixed(1);
}

export function inGib(bytes: number): string {
  return bytes > 0 && bytes < 0.005 * GiB
    ? '<0.01'
    : bytes >= 1000 * GiB
      ? thousands(bytes / GiB)
      : (bytes / GiB).toFixed(2);
}

type Figure = 'ttftSeconds' | 'tpotSeconds';

/** A request that never ended has no latency. */
function latency({ pool }: SharedPolicyResult, figure: Figure, statistic: 'p50' | 'p99'): string {
  return pool.requests.finished === 0 ? '-' : seconds(pool[figure][statistic]);
}

function modelLatency({ requests, latency: of }: NamedSharedModel, figure: Figure): string {
  return requests.finished === 0 ? '-' : seconds(of[figure].p99);
}
