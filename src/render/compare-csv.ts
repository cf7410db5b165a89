// Rows of a comparison as CSV (RFC 4180): the columns' keys as a head, values as JSON has them, nothing for what is not known. A row
// that a spreadsheet could take for a formula is quoted with a leading apostrophe by `csvField`.
import type { Cells } from '../plan/compare/cells.ts';
import { columns } from '../plan/compare/columns.ts';
import { csvField } from './flat.ts';

export function csvHead(): string {
  return `${columns.map(({ key }) => key).join(',')}\r\n`;
}

export function csvLines(rows: readonly Cells[]): string {
  let text = '';
  for (const cells of rows) {
    let line = '';
    for (let at = 0; at < cells.length; at++) {
      const value = cells[at]!;
      if (at > 0) line += ',';
      if (value === null) continue;
      line += typeof value === 'string' ? csvField(value) : String(value);
    }
    text += `${line}\r\n`;
  }
  return text;
}
