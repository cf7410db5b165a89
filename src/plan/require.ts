// `--require "<expr>"`: an assertion over the result for CI, such as kvCache.maxConcurrency>=4 or verdict.fits==true. One
// comparison of a path with a number, a boolean or a word; several are joined by giving the option several times.
import { inputError } from '../diagnostics.ts';

const operators = ['>=', '<=', '==', '!=', '>', '<'] as const;
type Operator = (typeof operators)[number];

export interface Requirement {
  text: string;
  path: readonly string[];
  operator: Operator;
  value: number | boolean | string | null;
}

export interface RequirementOutcome {
  requirement: string;
  holds: boolean;
  actual: unknown;
}

export function parseRequirement(text: string): Requirement {
  const match = /^\s*([A-Za-z][\w.-]*(?:\[\d+\][\w.-]*)*)\s*(>=|<=|==|!=|=|>|<)\s*([^\s=<>!].*?)\s*$/.exec(text);
  if (!match) {
    throw inputError('VRAM151', `cannot read the requirement ${JSON.stringify(text)}`, {
      hint: 'write a path, a comparison and a value, e.g. kvCache.maxConcurrency>=4 or verdict.headroomGiB>=1',
      path: '--require',
    });
  }
  const [, path, operator, literal] = match;
  return {
    text,
    path: path!
      .replace(/\[(\d+)\]/g, '.$1')
      .split('.')
      .filter(Boolean),
    operator: operator === '=' ? '==' : (operator as Operator),
    value: literalOf(literal!),
  };
}

export function checkRequirement(requirement: Requirement, result: unknown): RequirementOutcome {
  const actual = valueAt(result, requirement);
  return { requirement: requirement.text, holds: compare(actual, requirement), actual };
}

function literalOf(text: string): number | boolean | string | null {
  if (text === 'true' || text === 'false') return text === 'true';
  if (text === 'null') return null;
  const number = Number(text.replaceAll('_', ''));
  if (text !== '' && Number.isFinite(number)) return number;
  return text.replace(/^(['"])(.*)\1$/, '$2');
}

function valueAt(result: unknown, requirement: Requirement): unknown {
  let value: unknown = result;
  for (const key of requirement.path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) {
      const known = typeof value === 'object' && value !== null ? Object.keys(value) : [];
      throw inputError(
        'VRAM152',
        `the requirement ${JSON.stringify(requirement.text)} names ${key}, which the result does not have`,
        {
          hint: known.length > 0 ? `it has: ${known.join(', ')}` : undefined,
          path: '--require',
        },
      );
    }
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function compare(actual: unknown, { operator, value, text }: Requirement): boolean {
  if (operator === '==') return actual === value;
  if (operator === '!=') return actual !== value;
  if (typeof actual !== 'number' || typeof value !== 'number') {
    throw inputError('VRAM153', `the requirement ${JSON.stringify(text)} orders something that is not a number`, {
      hint: 'use == or != for words and booleans',
      path: '--require',
    });
  }
  switch (operator) {
    case '>=':
      return actual >= value;
    case '<=':
      return actual <= value;
    case '>':
      return actual > value;
    case '<':
      return actual < value;
  }
}
