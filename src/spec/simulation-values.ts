// How the values of simulation options are read: rates, KV groups, shares, times. Every refusal names the option and says what it
// takes; which option reads which kind is the table of simulation-options.ts.
import { inputError } from '../diagnostics.ts';
import { parseCount, parseNumber } from './count.ts';

/** One group of KV layers: --kv-group full, sliding:4096, chunked:8192. */
export type KvGroupOption =
  | { type: 'full' }
  | { type: 'sliding'; window: number }
  | { type: 'chunked'; chunk: number }
  | { type: 'mamba' };

/** --rate 2x scales the arrivals of the workload; --rate 4/s makes their mean rate so many requests a second. */
export type Rate = { kind: 'scale'; factor: number } | { kind: 'perSecond'; requests: number };

/** Share of the drafts that are accepted where nothing says: what published EAGLE heads reach on chat. */
export const defaultAcceptance = 0.7;

/** More drafts a step than any release can use. */
export const mostDraftTokens = 64;

/** Whole numbers, with an exponent too: 1e6. */
export function parseWhole(raw: string, option: string, limits: { min?: number; max?: number } = {}): number {
  if (!/^\s*\d+(\.\d+)?e\+?\d+\s*$/i.test(raw)) return parseCount(raw, option, limits);
  const value = Number(raw);
  const { max = Number.MAX_SAFE_INTEGER } = limits;
  if (value > max) throw inputError('VRAM142', `${option} must be at most ${max}, not ${raw.trim()}`, { path: option });
  return parseCount(String(value), option, limits);
}

const highestRate = 1e6;

/** "2x", "4/s", "4". */
export function parseRate(raw: string, option: string): Rate {
  const match = /^\s*((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(x|\/s|)\s*$/i.exec(raw);
  const value = match ? Number(match[1]) : Number.NaN;
  if (!(value > 0 && value <= highestRate)) {
    const limit = value > highestRate ? `of at most ${highestRate}` : 'above 0';
    throw inputError('VRAM651', `${option} takes a rate ${limit}, not ${JSON.stringify(raw)}`, {
      hint: '2x doubles the rate of the workload, 4/s makes it 4 requests a second',
      path: option,
    });
  }
  return match![2]!.toLowerCase() === 'x' ? { kind: 'scale', factor: value } : { kind: 'perSecond', requests: value };
}

export function rateText(rate: Rate): string {
  return rate.kind === 'scale' ? `${rate.factor}x` : `${rate.requests}/s`;
}

export function parseKvGroup(raw: string, option: string): KvGroupOption {
  const [kind = '', size] = raw.trim().split(':');
  const tokens = (): number => parseWhole(size ?? '', `${option} ${kind}:`);
  switch (kind.toLowerCase()) {
    case 'full':
      if (size === undefined) return { type: 'full' };
      break;
    case 'mamba':
      if (size === undefined) return { type: 'mamba' };
      break;
    case 'sliding':
      if (size !== undefined) return { type: 'sliding', window: tokens() };
      break;
    case 'chunked':
      if (size !== undefined) return { type: 'chunked', chunk: tokens() };
      break;
  }
  throw inputError('VRAM652', `${option} takes full, sliding:W, chunked:C or mamba, not ${JSON.stringify(raw)}`, {
    hint: 'e.g. --kv-group full --kv-group sliding:4096',
    path: option,
  });
}

export function parseSchedulingPolicy(raw: string, option: string): 'fcfs' | 'priority' {
  const policy = raw.trim().toLowerCase();
  if (policy === 'fcfs' || policy === 'priority') return policy;
  throw inputError('VRAM652', `${option} takes fcfs or priority, not ${JSON.stringify(raw)}`, { path: option });
}

export function parseShare(raw: string, option: string): number {
  const value = parseNumber(raw, option);
  if (value <= 1) return value;
  throw inputError('VRAM652', `${option} must be between 0 and 1, not ${raw}`, { path: option });
}

export function parseWatermark(raw: string, option: string): number {
  const value = parseShare(raw, option);
  if (value < 1) return value;
  throw inputError('VRAM652', `${option} must be below 1, not ${raw}: nothing would be admitted`, { path: option });
}

export function parsePositive(raw: string, option: string): number {
  const value = parseNumber(raw, option);
  if (value > 0) return value;
  throw inputError('VRAM652', `${option} must be above 0, not ${raw}`, { path: option });
}

export function parseStepTime(raw: string, option: string): number {
  const value = parseNumber(raw, option);
  if (value > 0 && value <= 3600) return value;
  throw inputError('VRAM652', `${option} must be above 0 and at most 3600 seconds, not ${raw}`, { path: option });
}
