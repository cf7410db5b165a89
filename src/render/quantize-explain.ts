// `vram quantize --explain`: per scheme what is stored, where its figure comes from, what engine and GPU make of it.
import { gib, smallGib, thousands } from '../numbers.ts';
import { figureText } from '../plan/quantize/recommend.ts';
import type { QualityNote, QuantizeRow, RowQuality } from '../plan/quantize/types.ts';
import type { QuantizeOutput } from '../plan/quantize-output.ts';
import type { Paint } from './paint.ts';
import { lossOf } from './quantize-cells.ts';
import { visible, wrap } from './text.ts';

export function explainRows({ result }: QuantizeOutput, paint: Paint, width: number): string {
  const rows = result.rows.map((row) => explainRow(row, paint, width));
  const caches = result.kvCache
    .filter(({ quality, notes }) => quality !== null || notes.length > 0)
    .map(({ scheme, engine, quality, notes }) => {
      const lines = [...(quality ? qualityLines(quality) : []), ...notes];
      return block(`KV cache ${scheme} (${engine})`, lines, paint, width);
    });
  return [...rows, ...caches].join('\n\n');
}

function explainRow(row: QuantizeRow, paint: Paint, width: number): string {
  const title = `${row.scheme}: ${row.name}`;
  const lines = [
    storageLine(row),
    `a GPU holds ${gib(row.weightBytesPerGpu)} of weights; activations: ${row.activations}`,
    row.kv
      ? `KV cache: ${thousands(row.kv.tokens)} tokens, ${thousands(row.kv.sequencesAtContext)} sequences at this context`
      : `${row.reason ?? 'does not fit'}${row.shortfallBytes > 0 ? `: ${smallGib(row.shortfallBytes)} short` : ''}`,
    `GPU: ${row.hardware.level}, ${row.hardware.how}${row.hardware.source ? ` (${row.hardware.source})` : ''}`,
    `engine: ${row.engineSupport.map(supportText).join('; ')}`,
    ...(row.quality
      ? qualityLines(row.quality)
      : [row.published ? 'quality: the reference' : 'quality: no published figure']),
    ...row.notes,
  ];
  return block(title, lines, paint, width);
}

function block(title: string, lines: readonly string[], paint: Paint, width: number): string {
  return [paint.bold(visible(title)), ...lines.map((line) => `  ${wrap(visible(line), width - 4, 4)}`)].join('\n');
}

function storageLine({ storage, bitsPerWeight }: QuantizeRow): string {
  const parts = [
    ['values', storage.weightsBytes],
    ['scales', storage.scalesBytes],
    ['zero points', storage.zeroPointsBytes],
    ['16 bit', storage.sixteenBitBytes],
    ['other', storage.otherBytes],
  ] as const;
  const list = parts.filter(([, bytes]) => bytes >= 2 ** 14).map(([name, bytes]) => `${name} ${smallGib(bytes)}`);
  return `stores ${gib(storage.totalBytes)}, ${bitsPerWeight.toFixed(3)} bits a parameter: ${list.join(', ')}`;
}

function supportText({ engine, version, supported, since, until }: QuantizeRow['engineSupport'][number]): string {
  const range = [since && `from ${since}`, until && `up to ${until}`].filter(Boolean).join(' ');
  return `${engine} ${version} ${supported ? 'yes' : 'no'}${range ? ` (${range})` : ''}`;
}

function qualityLines(quality: RowQuality): string[] {
  const borrowed = quality.borrowed ? ` (figure of ${quality.borrowed.scheme}: ${quality.borrowed.note})` : '';
  const imatrix = quality.imatrix ? ', with an importance matrix' : '';
  const lines = [`quality: ${figureText(quality)}${imatrix}${borrowed}`, `source: ${quality.source}`];
  if (quality.note) lines.push(`note: ${quality.note}`);
  if (quality.alsoMeasured.length > 0) lines.push(`also: ${quality.alsoMeasured.map(alsoText).join('; ')}`);
  return lines;
}

function alsoText(note: QualityNote): string {
  const cell = lossOf({ ...note, borrowed: null, domainMissing: false, alsoMeasured: [] });
  return `${cell} (${note.domain}, ${note.model})`;
}
