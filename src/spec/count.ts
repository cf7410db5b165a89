// Integers as vLLM's command line reads them: 32768, 32k (= 32,000), 32K (= 32,768), 1.5m. Upper case counts in powers of
// 1024 and takes no decimals, lower case in powers of 1000 (vllm/utils/argparse_utils.py, human_readable_int).
import { inputError } from '../diagnostics.ts';

const decimal = { k: 1e3, m: 1e6, g: 1e9, t: 1e12 } as const;
const binary = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const;

export function parseCount(text: string, option: string, limits: { min?: number; max?: number } = {}): number {
  const { min = 1, max = Number.MAX_SAFE_INTEGER } = limits;
  const value = readCount(text.trim());
  if (value === undefined || !Number.isSafeInteger(value)) {
    throw inputError('VRAM141', `${option} takes a whole number, not ${JSON.stringify(text)}`, {
      hint: 'write 32768, 32k (32,000) or 32K (32,768)',
      path: option,
    });
  }
  if (value < min || value > max) {
    throw inputError('VRAM142', `${option} must be ${rangeText(min, max)}, not ${value}`, { path: option });
  }
  return value;
}

function readCount(text: string): number | undefined {
  const match = /^([+-]?\d+(?:\.\d+)?)([kmgtKMGT]?)$/.exec(text.replaceAll('_', ''));
  if (!match) return undefined;
  const [, digits, suffix] = match;
  if (suffix! in binary)
    return digits!.includes('.') ? undefined : Number(digits) * binary[suffix as keyof typeof binary];
  if (suffix! in decimal) return Math.trunc(Number(digits) * decimal[suffix as keyof typeof decimal]);
  return digits!.includes('.') ? undefined : Number(digits);
}

function rangeText(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `between ${min} and ${max}`;
}

export function parseFraction(text: string, option: string): number {
  const value = readNumber(text);
  if (!(value > 0 && value <= 1)) {
    throw inputError('VRAM143', `${option} must be above 0 and at most 1, not ${JSON.stringify(text)}`, {
      hint: 'it is the fraction of the GPU that the engine may use, e.g. 0.9',
      path: option,
    });
  }
  return value;
}

export function parseNumber(text: string, option: string, min = 0): number {
  const value = readNumber(text);
  if (!(value >= min)) {
    throw inputError('VRAM141', `${option} takes a number of at least ${min}, not ${JSON.stringify(text)}`, {
      path: option,
    });
  }
  return value;
}

/** A finite decimal number; NaN for anything else, hexadecimal and "inf" included. */
function readNumber(text: string): number {
  const value = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}

export function parseJsonObject(text: string, option: string): Record<string, import('./model.ts').Json> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw inputError('VRAM144', `${option} takes a JSON object: ${(error as Error).message}`, {
      hint: `quote it for the shell: ${option} '{"key": 1}'`,
      path: option,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw inputError('VRAM144', `${option} takes a JSON object, not ${JSON.stringify(value)}`, { path: option });
  }
  return value as Record<string, import('./model.ts').Json>;
}
