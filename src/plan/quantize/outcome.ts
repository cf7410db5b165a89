// What becomes of a deployment in one scheme under one engine: a part of its row.
import type { QuantizeRow } from './types.ts';

export type Outcome = Pick<
  QuantizeRow,
  'weightBytesPerGpu' | 'kv' | 'state' | 'fits' | 'shortfallBytes' | 'reason' | 'confidence'
>;

/** The engine does not start it. */
export function refusedOutcome(reason: string, weightBytesPerGpu: number): Outcome {
  return {
    weightBytesPerGpu,
    kv: null,
    state: 'refused',
    fits: false,
    shortfallBytes: 0,
    reason,
    confidence: 'estimated',
  };
}
