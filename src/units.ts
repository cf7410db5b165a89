// Units and visible rounding. Bytes, Tokens and the like are branded numbers so that one cannot be passed for another
// by accident; bytes are non-negative safe integers. Rounding always has a name: divCeil, divFloor, divExact, alignUp.
import { assert } from './assert.ts';

declare const unit: unique symbol;
type Branded<Name extends string> = number & { readonly [unit]?: Name };
export type Bytes = Branded<'bytes'>;
export type Tokens = Branded<'tokens'>;
export type Seconds = Branded<'seconds'>;
export type BlockId = Branded<'block'>;

export const KiB = 2 ** 10;
export const MiB = 2 ** 20;
export const GiB = 2 ** 30;

/** ceil(a / b) for non-negative integers; exact up to 2^53. */
export function divCeil(a: number, b: number): number {
  return Math.floor(a / b) + (a % b === 0 ? 0 : 1);
}

/** floor(a / b) for non-negative integers. */
export function divFloor(a: number, b: number): number {
  return Math.floor(a / b);
}

/** a / b where b must divide a; a programmer error otherwise. */
export function divExact(a: number, b: number): number {
  assert(a % b === 0, `${a} is not divisible by ${b}`);
  return a / b;
}

/** The smallest multiple of `step` that is at least `value`. */
export function alignUp(value: number, step: number): number {
  return divCeil(value, step) * step;
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

export function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

export function lcm(a: number, b: number): number {
  return (a / gcd(a, b)) * b;
}
