// What the steps of a run spent most of their time on, apart for steps with prefill in them and steps that only decode.
import type { StepWork } from '../types.ts';
import type { StepBound, StepBreakdown } from './types.ts';

/** null: there was no such step. */
export interface PhaseBounds {
  prefill: StepBound | null;
  decode: StepBound | null;
}

export class BoundTally {
  private readonly seconds = { prefill: zeros(), decode: zeros() };

  add(work: Readonly<StepWork>, { bound, total }: StepBreakdown): void {
    this.seconds[work.prefillSequences > 0 ? 'prefill' : 'decode'][bound] += total;
  }

  result(): PhaseBounds {
    return { prefill: largest(this.seconds.prefill), decode: largest(this.seconds.decode) };
  }
}

function zeros(): Record<StepBound, number> {
  return { compute: 0, bandwidth: 0, network: 0, PCIe: 0, overhead: 0 };
}

function largest(seconds: Readonly<Record<StepBound, number>>): StepBound | null {
  const [bound, most] = (Object.entries(seconds) as [StepBound, number][]).reduce((a, b) => (b[1] > a[1] ? b : a));
  return most > 0 ? bound : null;
}
