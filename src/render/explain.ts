// `--explain`: every figure of the budget with its formula, source and confidence.
import { gib } from '../numbers.ts';
import type { PlanOutput } from '../plan/output.ts';
import { paintFor } from './paint.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

export function explainTable({ result }: PlanOutput, { colour, columns }: TableStyle): string {
  const paint = paintFor(colour);
  const width = Math.min(columns, 80);
  const seen = new Set<string>();
  const blocks: string[] = [];
  for (const device of result.devices) {
    for (const item of device.items) {
      const key = JSON.stringify({ ...item });
      if (item.bytes === 0 || seen.has(key)) continue;
      seen.add(key);
      blocks.push(
        [
          `${paint.bold(item.id)} (GPU ${device.rank}): ${gib(item.bytes)}, ${item.bytes} bytes, ${item.confidence}`,
          `  ${wrap(visible(item.formula), width - 2, 2)}`,
          `  ${paint.dim(wrap(`source: ${visible(item.source)}`, width - 2, 2))}`,
        ].join('\n'),
      );
    }
  }
  for (const { figure, formula, source, confidence } of result.kvCache.figures) {
    const value = result.kvCache[figure as keyof typeof result.kvCache];
    blocks.push(
      [
        `${paint.bold(`kvCache.${figure}`)}: ${typeof value === 'number' ? Number(value.toFixed(4)) : ''}, ${confidence}`,
        `  ${wrap(visible(formula), width - 2, 2)}`,
        `  ${paint.dim(wrap(`source: ${visible(source)}`, width - 2, 2))}`,
      ].join('\n'),
    );
  }
  const log = result.startupLog.map((line) => `  ${wrap(visible(line), width - 2, 4)}`).join('\n');
  return `${paint.bold('Where each figure comes from')}\n\n${blocks.join('\n')}\n\n${paint.bold('What the engine is expected to print')}\n${log}\n`;
}
