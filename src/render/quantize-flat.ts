// Forms of `vram quantize` for other programs and documents: CSV of the rows, Markdown.
import { thousands } from '../numbers.ts';
import type { KvRow, QuantizeRow } from '../plan/quantize/types.ts';
import type { QuantizeOutput } from '../plan/quantize-output.ts';
import { csvField } from './flat.ts';
import { escaped } from './markdown.ts';
import { hardwareWords, inGib, isPlain, lossCell, lossOf, speedCell } from './quantize-cells.ts';

const columns = [
  'scheme',
  'engine',
  'state',
  'bitsPerWeight',
  'weightBytesPerGpu',
  'kvTokens',
  'sequencesAtContext',
  'shortfallBytes',
  'metric',
  'value',
  'baseline',
  'relativeLoss',
  'measuredOn',
  'relation',
  'source',
  'hardware',
  'decodeSpeedRatio',
  'reason',
] as const;

export function quantizeCsv({ result }: QuantizeOutput): string {
  const lines = [columns.join(','), ...result.rows.map((row) => csvCells(row).map(csvField).join(','))];
  return `${lines.join('\r\n')}\r\n`;
}

function csvCells(row: QuantizeRow): (string | number)[] {
  const { quality, kv } = row;
  return [
    row.scheme,
    row.engine ?? '',
    row.state,
    row.bitsPerWeight,
    row.weightBytesPerGpu,
    kv?.tokens ?? '',
    kv?.sequencesAtContext ?? '',
    row.shortfallBytes,
    quality?.metric ?? '',
    quality?.value ?? '',
    quality?.baseline ?? '',
    quality?.relativeLoss ?? '',
    quality?.model ?? '',
    quality?.relation ?? '',
    quality?.source ?? '',
    row.hardware.level,
    row.decodeSpeedRatio ?? '',
    row.reason ?? '',
  ];
}

export function quantizeMarkdown({ input, result }: QuantizeOutput): string {
  const { model, gpu, engines } = input;
  const { recommendation, requirement } = result;
  const names = engines.map(({ name, version }) => `${name} ${version}`).join(' and ');
  const parts = [
    `## ${escaped(model.name)} on ${gpu.count > 1 ? `${gpu.count} x ` : ''}${escaped(gpu.name)}`,
    `${names}; ${requirement.concurrency} x ${thousands(requirement.context)} tokens.`,
    recommendation
      ? `**Recommended: ${escaped(recommendation.scheme)}** (${recommendation.engine}). ${escaped(recommendation.reason)}. ${escaped(recommendation.change)}.\n\n\`\`\`sh\n${recommendation.command}\n\`\`\``
      : `**No recommendation**: ${escaped(result.noRecommendation ?? '')}.`,
    table(
      [
        'scheme',
        'engine',
        'state',
        'bits',
        'GiB/GPU',
        'KV tokens',
        'sequences',
        'loss',
        'GPU',
        'speed',
        'source or reason',
      ],
      result.rows.map(rowCells),
    ),
    ...(result.kvCache.length > 0
      ? [
          '### KV cache',
          table(
            ['KV cache', 'engine', 'weights', 'bits', 'KV tokens', 'sequences', 'loss', 'source or reason'],
            result.kvCache.map(cacheCells),
          ),
        ]
      : []),
    'Loss: published figure against 16 bit, = on this model, ~ on its family, ? on another model.',
  ];
  return `${parts.join('\n\n')}\n`;
}

function rowCells(row: QuantizeRow): string[] {
  return [
    row.scheme,
    row.engine ?? '',
    row.state,
    row.bitsPerWeight.toFixed(2),
    inGib(row.weightBytesPerGpu),
    row.kv ? thousands(row.kv.tokens) : '',
    row.kv ? thousands(row.kv.sequencesAtContext) : '',
    lossCell(row, isPlain(row)),
    hardwareWords[row.hardware.level],
    speedCell(row.decodeSpeedRatio),
    row.fits ? (row.quality?.source ?? '') : (row.reason ?? ''),
  ];
}

function cacheCells(row: KvRow): string[] {
  return [
    row.scheme,
    row.engine,
    row.weights,
    String(row.bitsPerValue),
    row.kv ? thousands(row.kv.tokens) : '',
    row.kv ? thousands(row.kv.sequencesAtContext) : '',
    row.bitsPerValue >= 16 ? 'reference' : row.quality ? lossOf(row.quality) : 'no figure',
    row.fits ? (row.quality?.source ?? '') : (row.reason ?? ''),
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((cells) => `| ${cells.map(escaped).join(' | ')} |`),
  ].join('\n');
}
