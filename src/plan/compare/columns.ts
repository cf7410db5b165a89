// The columns of a comparison, as data: key (the path that `plan` has the same figure under), title, unit, which way is better, and where
// the value comes from. Everything that shows, sorts, filters or compares rows goes by this table.
import type { CompareColumn } from './output.ts';
import type { CompareSubject } from './subject.ts';

export interface Column extends CompareColumn {
  /** What its values are: number unless said otherwise. */
  kind: 'number' | 'text' | 'flag';
  /** For narrow tables. */
  short: string;
  /** Other words that --sort, --filter, --pareto and --group-by take for it. */
  names: readonly string[];
  read(subject: CompareSubject): string | number | boolean | null;
}

type Rest = Partial<Pick<Column, 'kind' | 'unit' | 'better' | 'estimate' | 'short' | 'names'>>;

function column(key: string, title: string, description: string, read: Column['read'], rest: Rest = {}): Column {
  return {
    key,
    title,
    kind: 'number',
    unit: null,
    better: null,
    estimate: false,
    short: title.toLowerCase(),
    names: [],
    ...rest,
    description,
    read,
  };
}

const named: readonly Column[] = [
  column('id', 'Combination', 'model, GPUs, engine, scheme and layout in one word', idOf, {
    kind: 'text',
    short: 'id',
  }),
  column('model', 'Model', 'preset id or reference', (row) => row.model, { kind: 'text' }),
  column('gpu', 'GPU', 'preset id', (row) => row.gpu, { kind: 'text' }),
  column('gpus', 'GPUs', 'GPUs that the layout takes, over all replicas', (row) => row.gpus, {
    unit: 'count',
    better: 'less',
    short: 'n',
  }),
  column('engine', 'Engine', 'engine and version', (row) => row.engine, { kind: 'text' }),
  column('quantization', 'Scheme', 'how the weights are stored', (row) => row.quantization, {
    kind: 'text',
    short: 'scheme',
    names: ['q', 'scheme'],
  }),
  column('kvCacheDtype', 'KV cache', 'type of the KV cache', (row) => row.kvCacheDtype, {
    kind: 'text',
    short: 'KV type',
  }),
  column('parallel.tp', 'TP', 'tensor-parallel size', (row) => row.parallel.tp, { unit: 'count', names: ['tp'] }),
  column('parallel.pp', 'PP', 'pipeline stages', (row) => row.parallel.pp, { unit: 'count', names: ['pp'] }),
  column('parallel.dp', 'DP', 'replicas', (row) => row.parallel.dp, { unit: 'count', names: ['dp'] }),
  column('parallel.ep', 'EP', 'ranks that whole experts are dealt out to', (row) => row.parallel.ep, {
    unit: 'count',
    names: ['ep'],
  }),
];

const memory: readonly Column[] = [
  column(
    'fits',
    'Fits',
    'it starts and holds the requirement',
    ({ verdict, workload }) => verdict.fits && workload?.fits !== false,
    { kind: 'flag', better: 'more' },
  ),
  column('verdict.fits', 'Starts', 'the engine starts', ({ verdict }) => verdict.fits, {
    kind: 'flag',
    better: 'more',
  }),
  column('weights.tensorBytes', 'Tensors', 'exact bytes of the tensors on the fullest GPU', of('tensorBytes'), {
    unit: 'GiB',
    better: 'less',
  }),
  column('weights.loadedBytes', 'Weights', 'what the engine prints after loading, fullest GPU', of('loadedBytes'), {
    unit: 'GiB',
    better: 'less',
    names: ['weights'],
  }),
  column('memory.activationBytes', 'Activations', 'peak of the profile run, fullest GPU', of('activationBytes'), {
    unit: 'GiB',
    better: 'less',
    short: 'act.',
    names: ['activations', 'peak'],
  }),
  column('memory.graphBytes', 'CUDA graphs', 'pool of captured graphs, fullest GPU', of('graphBytes'), {
    unit: 'GiB',
    better: 'less',
    short: 'graphs',
    estimate: true,
    names: ['graphs'],
  }),
  column('kvCache.bytes', 'KV per GPU', 'available for the KV cache on the tightest GPU', kv('bytes'), {
    unit: 'GiB',
    better: 'more',
    short: 'KV',
    names: ['kv'],
  }),
  column('kvCache.numBlocks', 'Blocks', 'KV cache blocks', kv('numBlocks'), { unit: 'count', better: 'more' }),
  column('kvCache.blockSize', 'Block size', 'tokens of a block', kv('blockSize'), { unit: 'tokens' }),
  column('kvCache.bytesPerToken', 'KV per token', 'bytes of one token in the cache', kv('bytesPerToken'), {
    better: 'less',
  }),
  column('kvCache.tokens', 'Tokens', 'tokens of KV cache, as the engine prints them', kv('tokens'), {
    unit: 'tokens',
    better: 'more',
    names: ['tokens'],
  }),
  column('kvCache.maxConcurrency', 'Full sequences', 'sequences of max_model_len at once', kv('maxConcurrency'), {
    unit: 'count',
    better: 'more',
    short: 'full',
  }),
  column('kvCache.maxModelLen', 'Longest', 'max_model_len', kv('maxModelLen'), { unit: 'tokens', short: 'longest' }),
  column('workload.context', 'Context', 'tokens of a sequence asked for', load('context'), {
    unit: 'tokens',
    names: ['context'],
  }),
  column('workload.concurrency', 'Asked', 'sequences asked for at once', load('concurrency'), { unit: 'count' }),
  column('workload.fits', 'Holds', 'the cache holds what is asked for', load('fits'), { kind: 'flag', better: 'more' }),
  column(
    'workload.maxConcurrencyAtContext',
    'Sequences',
    'sequences of this context at once, over all replicas',
    load('maxConcurrencyAtContext'),
    { unit: 'count', better: 'more', short: 'seqs', names: ['concurrency', 'sequences', 'seqs'] },
  ),
  column(
    'workload.maxContextAtConcurrency',
    'Context at most',
    'longest context at this concurrency',
    load('maxContextAtConcurrency'),
    { unit: 'tokens', better: 'more', short: 'ctx max' },
  ),
  column(
    'verdict.headroomBytes',
    'Headroom',
    'left beside what is asked for, tightest GPU',
    ({ verdict, memory: planned }) => (planned ? verdict.headroomBytes : null),
    { unit: 'GiB', better: 'more', short: 'room', names: ['headroom'] },
  ),
];

const estimates: readonly Column[] = [
  column('price.perHour', 'Price', 'USD an hour for all its GPUs', ({ price }) => price?.perHour ?? null, {
    unit: 'USD/h',
    better: 'less',
    short: '$/h',
    names: ['price'],
  }),
  column('price.perMillionOutputTokens', 'Cost', 'USD a million output tokens at this concurrency', costOf, {
    unit: 'USD/M',
    better: 'less',
    estimate: true,
    short: '$/M',
    names: ['cost'],
  }),
  column(
    'speed.outputTokensPerSecond',
    'Output',
    'output tokens a second under that load, prompts beside decoding',
    ({ speed }) => round(speed?.outputTokensPerSecond),
    { unit: 'tokens/s', better: 'more', estimate: true, short: 'out/s', names: ['throughput', 'output'] },
  ),
  column(
    'speed.decodeTokensPerSecond',
    'Decode',
    'tokens a second of all sequences while they decode',
    ({ speed }) => round(speed?.decode.tokensPerSecond),
    { unit: 'tokens/s', better: 'more', estimate: true, short: 'dec/s', names: ['decode'] },
  ),
  column('speed.decodeBound', 'Decode bound', 'what decoding waits for', ({ speed }) => speed?.decode.bound ?? null, {
    kind: 'text',
    estimate: true,
    short: 'bound',
    names: ['bound'],
  }),
  column(
    'speed.prefillTokensPerSecond',
    'Prefill',
    'prompt tokens a second, one prompt after another',
    ({ speed }) => round(speed?.prefill.tokensPerSecond),
    { unit: 'tokens/s', better: 'more', estimate: true, short: 'pre/s', names: ['prefill'] },
  ),
  column('speed.prefillBound', 'Prefill bound', 'what prefill waits for', ({ speed }) => speed?.prefill.bound ?? null, {
    kind: 'text',
    estimate: true,
  }),
  column(
    'speed.ttftSeconds',
    'TTFT',
    'time to the first token, one prompt alone',
    ({ speed }) => round(speed?.ttftSeconds),
    {
      unit: 's',
      better: 'less',
      estimate: true,
      names: ['ttft'],
    },
  ),
  column('speed.tpotSeconds', 'TPOT', 'time of a token, one sequence alone', ({ speed }) => round(speed?.tpotSeconds), {
    unit: 's',
    better: 'less',
    estimate: true,
    names: ['tpot'],
  }),
  column(
    'speed.loadedTpotSeconds',
    'TPOT loaded',
    'time of a token under that load',
    ({ speed }) => round(speed?.loadedTpotSeconds),
    { unit: 's', better: 'less', estimate: true },
  ),
  column(
    'speed.uncertaintyShare',
    'Uncertainty',
    'the rates are this share lower or higher',
    ({ speed }) => speed?.uncertaintyShare ?? null,
    { short: '+-', estimate: true },
  ),
  column(
    'quality.relativeLoss',
    'Loss',
    'published loss against 16 bit, as a share',
    ({ quality }) => round(quality?.relativeLoss),
    { unit: '%', better: 'less', short: 'loss', names: ['loss'] },
  ),
  column(
    'quality.relation',
    'Measured on',
    'model: this one; family: its family; other: another; none: nothing is quantized',
    ({ quality }) => quality?.relation ?? null,
    { kind: 'text', short: 'on' },
  ),
  column('quality.metric', 'Metric', 'what the loss was measured with', ({ quality }) => quality?.metric ?? null, {
    kind: 'text',
  }),
  column('verdict.reason', 'Reason', 'why it does not fit', ({ verdict }) => verdict.reason, {
    kind: 'text',
    names: ['reason'],
  }),
  column('verdict.refusal', 'Refusal', 'what the engine says where it refuses options, layout or scheme', refusalOf, {
    kind: 'text',
    names: ['refusal'],
  }),
];

export const columns: readonly Column[] = [...named, ...memory, ...estimates];

export function readCells(subject: CompareSubject): (string | number | boolean | null)[] {
  return columns.map((one) => one.read(subject));
}

function idOf({ model, gpu, gpus, engine, quantization, kvCacheDtype, parallel, workload }: CompareSubject): string {
  const layout = [
    `tp${parallel.tp}`,
    ...(parallel.pp > 1 ? [`pp${parallel.pp}`] : []),
    ...(parallel.dp > 1 ? [`dp${parallel.dp}`] : []),
  ].join('x');
  const load = workload ? `${workload.context}x${workload.concurrency}` : '-';
  return `${model}/${quantization}/${kvCacheDtype}/${engine}/${layout}/${gpus}x${gpu}/${load}`;
}

function of(key: keyof NonNullable<CompareSubject['memory']>): Column['read'] {
  return ({ memory: planned }) => planned?.[key] ?? null;
}

function kv(
  key: 'bytes' | 'numBlocks' | 'blockSize' | 'bytesPerToken' | 'tokens' | 'maxConcurrency' | 'maxModelLen',
): Column['read'] {
  return ({ kvCache }) => kvCache?.[key] ?? null;
}

function load(key: keyof NonNullable<CompareSubject['workload']>): Column['read'] {
  return ({ workload }) => workload?.[key] ?? null;
}

/** The words of the engine where the reason is only that it refuses; figures that do not fit speak for themselves. */
function refusalOf({ verdict: { reason, engineError } }: CompareSubject): string | null {
  return reason !== null && /^the (?:engine refuses|GPU cannot)/.test(reason) ? engineError : null;
}

/** USD an hour over million output tokens an hour. */
function costOf({ price, speed }: CompareSubject): number | null {
  if (!price || !speed || speed.outputTokensPerSecond <= 0) return null;
  return round((price.perHour * 1e6) / (speed.outputTokensPerSecond * 3600));
}

/** Estimates carry four digits: more would look like knowledge. */
function round(value: number | null | undefined): number | null {
  return value === null || value === undefined || !Number.isFinite(value) ? null : Number(value.toPrecision(4));
}
