// Times of day as Azure writes them (2023-11-16 18:15:46.6805900, in 2024 with an offset): seconds that keep seven decimals,
// which a number of seconds since 1970 would lose. They count from the minute of the first row.

import { printable } from '../names.ts';
import { RowProblem } from './report.ts';
import { numberOf } from './values.ts';

const pattern = /^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2}(?:\.\d{1,12})?)\s*(Z|UTC|[+-]\d{2}:?\d{2})?$/;

/** A reader of one file's times; a plain number is taken as seconds. */
export function clockTime(): (text: string | undefined) => number {
  let firstMinute: number | undefined;
  return (text) => {
    const match = pattern.exec(text?.trim() ?? '');
    if (!match) {
      if (text === undefined || text.trim() === '' || /^[+-]?[\d.]/.test(text.trim()) === false || text.includes('-')) {
        throw new RowProblem(
          'VRAM606',
          `TIMESTAMP is "${printable(text ?? '', 40)}" (not a time such as 2023-11-16 18:15:46.68)`,
        );
      }
      return numberOf(text, 'TIMESTAMP');
    }
    const [, year, month, day, hour, minute, second, zone] = match;
    const minutes = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute)) / 60_000;
    const local = minutes - offsetMinutes(zone);
    firstMinute ??= local;
    return (local - firstMinute) * 60 + Number(second);
  };
}

function offsetMinutes(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z' || zone === 'UTC') return 0;
  const digits = zone.replace(':', '');
  const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5));
  return zone.startsWith('-') ? -minutes : minutes;
}
