// The answer of `vram quantize` for a person, in 80 columns: what is recommended and why, then every scheme by whether it fits, and the KV
// caches. It formats and computes nothing.
import { parameters, thousands } from '../numbers.ts';
import type { KvRow, QuantizeRow, Recommendation, RowState } from '../plan/quantize/types.ts';
import type { QuantizeOutput } from '../plan/quantize-output.ts';
import { grid } from './grid.ts';
import { type Paint, paintFor } from './paint.ts';
import { hardwareWords, inGib, isPlain, lossCell, lossOf, speedCell, tokensCell } from './quantize-cells.ts';
import { explainRows } from './quantize-explain.ts';
import type { TableStyle } from './table.ts';
import { brokenCommand, visible, wrap } from './text.ts';

export interface QuantizeTableOptions {
  style: TableStyle;
  explain: boolean;
}

export function quantizeTable(output: QuantizeOutput, { style, explain }: QuantizeTableOptions): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const { rows, kvCache } = output.result;
  const parts = [
    heading(output, paint, width),
    recommended(output, paint, width),
    ...stateBlocks(output, rows, paint, width),
    cacheBlock(output, kvCache, paint, width),
    explain ? explainRows(output, paint, width) : legend(rows, paint, width),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function heading({ input, result }: QuantizeOutput, paint: Paint, width: number): string {
  const { model, gpu, engines, parallel } = input;
  const count = gpu.count > 1 ? `${gpu.count} x ` : '';
  const layout = [parallel.tp > 1 ? `tp ${parallel.tp}` : '', parallel.pp > 1 ? `pp ${parallel.pp}` : ''].filter(
    Boolean,
  );
  const names = engines.map(({ name, version }) => `${name} ${version}`).join(' and ');
  const { context, concurrency, maxQualityLoss, domain } = result.requirement;
  const asked = [
    `${thousands(concurrency)} ${concurrency === 1 ? 'sequence' : 'sequences'} of ${thousands(context)} tokens`,
    maxQualityLoss === null ? '' : `a loss of at most ${+(maxQualityLoss * 100).toFixed(2)} %`,
    domain === null ? '' : `for ${domain}`,
  ].filter(Boolean);
  return [
    paint.bold(wrap(`${visible(model.name)}, ${parameters(model.parameters)}, published in ${model.published}`, width)),
    wrap(`on ${count}${visible(gpu.name)} with ${names}${layout.length > 0 ? ` (${layout.join(', ')})` : ''}`, width),
    wrap(`asked: ${asked.join(', ')}`, width),
  ].join('\n');
}

const engineNames = { vllm: 'vLLM', 'llama.cpp': 'llama.cpp' } as const;

function recommended({ result }: QuantizeOutput, paint: Paint, width: number): string {
  const { recommendation, noRecommendation } = result;
  if (!recommendation)
    return `${paint.bad('NO RECOMMENDATION')}  ${wrap(visible(noRecommendation ?? ''), width - 19, 2)}`;
  const { scheme, engine, reason, change, command, alternatives } = recommendation;
  const lines = [
    `${paint.good('RECOMMENDED')}  ${paint.bold(scheme)} with ${engineNames[engine]}`,
    `  ${wrap(visible(reason), width - 2, 2)}`,
    `  ${wrap(visible(change), width - 2, 2)}`,
    '',
    brokenCommand(command.split(/ (?=--?[a-z])/), width, '  '),
  ];
  if (alternatives.length > 0) lines.push('', ...alternatives.map((other) => otherLine(other, paint, width)));
  return lines.join('\n');
}

function otherLine(
  { scheme, engine, reason }: Recommendation['alternatives'][number],
  paint: Paint,
  width: number,
): string {
  return `or ${paint.bold(scheme)} ${wrap(visible(`with ${engineNames[engine]}: ${reason}`), width - scheme.length - 4, 3)}`;
}

const titles: Readonly<Record<RowState, string>> = { fits: 'Fits', short: 'Does not fit', refused: 'Does not run' };

function stateBlocks(output: QuantizeOutput, rows: readonly QuantizeRow[], paint: Paint, width: number): string[] {
  return (['fits', 'short', 'refused'] as const).flatMap((state) =>
    [...output.input.engines.map(({ id }) => id), null].flatMap((engine) => {
      const own = rows.filter((row) => row.state === state && row.engine === engine);
      if (own.length === 0) return [];
      const name = output.input.engines.find(({ id }) => id === engine);
      const title = `${titles[state]}${name ? `, ${name.name} ${name.version}` : ''}`;
      const mark = output.result.recommendation;
      const table = state === 'refused' ? refusedGrid(own, width) : sizedGrid(own, state, mark);
      return [
        `${state === 'fits' ? paint.good(title) : state === 'short' ? paint.bad(title) : paint.warn(title)}\n${table}`,
      ];
    }),
  );
}

function sizedGrid(rows: readonly QuantizeRow[], state: RowState, recommendation: Recommendation | null): string {
  const fits = state === 'fits';
  const ordered = [...rows].sort((a, b) =>
    fits ? b.bitsPerWeight - a.bitsPerWeight : a.shortfallBytes - b.shortfallBytes || a.bitsPerWeight - b.bitsPerWeight,
  );
  const cells = ordered.map((row) => {
    const chosen = row.scheme === recommendation?.scheme && row.engine === recommendation.engine;
    return [
      `${row.scheme}${chosen ? ' <' : ''}`,
      row.bitsPerWeight.toFixed(2),
      inGib(row.weightBytesPerGpu),
      ...(fits
        ? [tokensCell(row.kv?.tokens ?? 0), thousands(row.kv?.sequencesAtContext ?? 0)]
        : [row.shortfallBytes > 0 ? inGib(row.shortfallBytes) : 'KV']),
      lossCell(row, isPlain(row)),
      hardwareWords[row.hardware.level],
      speedCell(row.decodeSpeedRatio),
    ];
  });
  const capacity = fits ? ['tokens', 'seqs'] : ['short'];
  return grid(
    ['scheme', 'bits', 'GiB', ...capacity, 'loss', 'GPU', 'speed'],
    ['left', 'right', 'right', ...capacity.map(() => 'right' as const), 'left', 'left', 'right'],
    cells,
  );
}

/** Schemes that are refused for one reason stand together. */
function refusedGrid(rows: readonly QuantizeRow[], width: number): string {
  const byReason = new Map<string, string[]>();
  for (const { scheme, reason } of rows) {
    const text = visible(reason ?? 'the engine refuses it');
    byReason.set(text, [...(byReason.get(text) ?? []), scheme]);
  }
  return [...byReason].map(([reason, schemes]) => `${wrap(`${schemes.join(', ')}: ${reason}`, width, 4)}`).join('\n');
}

function cacheBlock({ input }: QuantizeOutput, rows: readonly KvRow[], paint: Paint, width: number): string {
  return input.engines
    .map(({ id, name, version }) => {
      const own = rows.filter(({ engine }) => engine === id);
      if (own.length === 0) return '';
      const shown = own.filter(({ state }) => state !== 'refused');
      const cells = shown.map((row) => [
        row.scheme,
        String(row.bitsPerValue),
        row.bytesPerToken === null ? '' : thousands(row.bytesPerToken),
        row.fits ? tokensCell(row.kv?.tokens ?? 0) : 'short',
        row.fits ? thousands(row.kv?.sequencesAtContext ?? 0) : '',
        row.bitsPerValue >= 16 ? 'reference' : row.quality ? lossOf(row.quality) : 'no figure',
        row.hardware === 'native' ? 'native' : 'unpacked',
      ]);
      const head = ['KV cache', 'bits', 'B/token', 'tokens', 'seqs', 'loss', 'GPU'];
      const align = ['left', 'right', 'right', 'right', 'right', 'left', 'left'] as const;
      const refused = own.filter(({ state }) => state === 'refused');
      const tail = refused.length > 0 ? `\n${refusedCaches(refused, width)}` : '';
      const title = paint.bold(`KV cache, ${name} ${version}, weights in ${own[0]!.weights}`);
      return `${title}\n${grid(head, [...align], cells)}${tail}`;
    })
    .filter(Boolean)
    .join('\n\n');
}

function refusedCaches(rows: readonly KvRow[], width: number): string {
  return wrap(`not on this GPU or model: ${rows.map(({ scheme }) => scheme).join(', ')}`, width, 4);
}

function legend(rows: readonly QuantizeRow[], paint: Paint, width: number): string {
  const marks = rows.some(({ quality }) => quality !== null)
    ? 'loss: published figure against 16 bit, measured = on this model, ~ on its family, ? on another model; figures of different benchmarks do not compare. '
    : '';
  const text = `bits: of a parameter on average. GiB: weights a GPU; short: what a GPU lacks. tokens, seqs: room in the KV cache, sequences at this context. ${marks}GPU: native, kernel (weights unpacked on the fly), emul. (emulated). speed: decoding against 16 bit by bytes moved. Sources and storage: --explain.`;
  return paint.dim(wrap(text, width));
}
