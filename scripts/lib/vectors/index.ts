// Runs files of test vectors (format vram-vllm-vectors/1) and says which hold.

import type { Vector } from './common.ts';
import { runManager } from './manager.ts';
import { isPart, runPart } from './parts.ts';
import { runScheduler } from './scheduler.ts';

interface VectorResult {
  id: string;
  /** Comparisons made; those that failed, in words. */
  compared: number;
  failures: string[];
}

export function runVector(vector: Vector): VectorResult {
  const result: VectorResult = { id: vector.id, compared: 0, failures: [] };
  const compare = (place: string, actual: unknown, expected: unknown): void => {
    result.compared++;
    if (!equal(actual, expected))
      result.failures.push(`${place}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  };
  try {
    if (vector.kind === 'manager') runManager(vector, compare);
    else if (vector.kind === 'scheduler') runScheduler(vector, compare);
    else if (isPart(vector.kind)) runPart(vector, compare);
    else result.failures.push(`kind ${JSON.stringify(vector.kind)} is not known`);
  } catch (error) {
    result.failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return result;
}

/** Equal as data; of an object only the fields that are expected. */
function equal(actual: unknown, expected: unknown): boolean {
  if (Array.isArray(expected))
    return (
      Array.isArray(actual) &&
      actual.length === expected.length &&
      expected.every((value, i) => equal(actual[i], value))
    );
  if (typeof expected === 'object' && expected !== null)
    return (
      typeof actual === 'object' &&
      actual !== null &&
      Object.entries(expected).every(([key, value]) => equal((actual as Record<string, unknown>)[key], value))
    );
  if (typeof expected === 'number' && typeof actual === 'number') return Math.abs(actual - expected) < 1e-9;
  return (actual ?? null) === (expected ?? null);
}
