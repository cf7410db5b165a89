// Sizes as people write them: 24GiB, 24576MiB, 25.8GB, each meaning what it says. A bare 24G is refused: half of the tools
// mean 10^9 and half 2^30, and the difference is what a plan is about.
import { type InputError, inputError } from '../diagnostics.ts';
import type { Bytes } from '../units.ts';
import { printable } from './names.ts';

const units: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Bytes of a size; throws an InputError (VRAM110) that names the option. A plain integer is bytes. */
export function parseSize(text: string, option = 'size'): Bytes {
  const match = /^(\d+(?:_\d+)*(?:\.\d+)?|\.\d+)\s*([a-zA-Z]*)$/.exec(text.trim());
  if (!match) throw refuse(text, option, 'write a number and a unit, e.g. 24GiB, 24576MiB or 25.8GB');
  const number = Number(match[1]!.replaceAll('_', ''));
  const unit = match[2]!.toLowerCase();
  if (/^[kmgt]$/.test(unit)) {
    const big = unit.toUpperCase();
    throw refuse(
      text,
      option,
      `say which: ${match[1]}${big}iB (powers of 1024) or ${match[1]}${big}B (powers of 1000)`,
    );
  }
  if (unit === '' && match[1]!.includes('.')) throw refuse(text, option, 'a fraction needs a unit, e.g. 23.65GiB');
  const factor = unit === '' ? 1 : units[unit];
  if (factor === undefined) throw refuse(text, option, 'units are B, KB, MB, GB, TB and KiB, MiB, GiB, TiB');
  const bytes = Math.round(number * factor);
  if (!Number.isSafeInteger(bytes)) throw refuse(text, option, 'the number is too large');
  return bytes;
}

/** A comma-separated list of sizes. */
export function parseSizes(text: string, option = 'size'): Bytes[] {
  return text.split(',').map((part) => parseSize(part, option));
}

function refuse(text: string, option: string, hint: string): InputError {
  return inputError('VRAM110', `${option}: "${printable(text)}" is not a size`, { hint, path: option });
}
