// How figures are written: GiB with two decimals, thousands separated, concurrency as the engine prints it.
import { GiB, MiB } from './units.ts';

export function gib(bytes: number): string {
  return `${(bytes / GiB).toFixed(2)} GiB`;
}

/** The same, or MiB where GiB would say 0.00 of something. */
export function smallGib(bytes: number): string {
  return Math.abs(bytes) >= 0.01 * GiB || bytes === 0 ? gib(bytes) : mib(bytes);
}

export function mib(bytes: number): string {
  return `${(bytes / MiB).toFixed(2)} MiB`;
}

/** MiB with two decimals as C's printf writes them: exact ties go to the even digit (0.125 is 0.12). */
export function printedMiB(bytes: number): string {
  const hundredths = Math.floor((bytes * 100) / MiB);
  const rest = bytes * 100 - hundredths * MiB;
  const up = rest > MiB / 2 || (rest === MiB / 2 && hundredths % 2 === 1);
  return ((hundredths + (up ? 1 : 0)) / 100).toFixed(2);
}

export function thousands(value: number): string {
  return Math.trunc(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

export function percent(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)} %`;
}

export function times(value: number): string {
  return `${value.toFixed(2)}x`;
}

/** 8.03B, 670.4M: parameter counts as people say them. */
export function parameters(count: number): string {
  for (const [unit, size] of [
    ['T', 1e12],
    ['B', 1e9],
    ['M', 1e6],
  ] as const) {
    if (count >= size) return `${(count / size).toFixed(count / size >= 100 ? 0 : 2)}${unit}`;
  }
  return `${count}`;
}
