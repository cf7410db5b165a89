// The JSON envelope of the contract: what was asked (resolved), the result, the diagnostics. No timestamps; the same input
// gives byte-identical output.
import type { Diagnostic } from '../diagnostics.ts';
import { version } from '../version.ts';
import type { Plan } from './types.ts';

export interface PlanInputEcho {
  model: {
    id: string;
    name: string;
    hfId: string | null;
    /** The repository or path that the generated command serves. */
    served: string;
    architecture: string;
    parameters: number;
    activeParameters: number;
    /** How the weights are stored: a dtype or a scheme id. */
    scheme: string;
    source: string | null;
  };
  gpu: {
    id: string;
    name: string;
    vendor: string;
    count: number;
    driverTotalBytes: number;
    cudaTotalBytes: number;
    computeCapability: string | null;
  };
  engine: { id: string; name: string; version: string; release: string; options: Record<string, unknown> };
  parallel: { tp: number; pp: number; dp: number; ep: number };
}

export interface PlanOutput {
  schemaVersion: 1;
  tool: { name: 'vram'; version: string };
  command: 'plan';
  input: PlanInputEcho;
  result: Plan;
  diagnostics: Diagnostic[];
}

export function planOutput(input: PlanInputEcho, result: Plan, diagnostics: readonly Diagnostic[]): PlanOutput {
  return {
    schemaVersion: 1,
    tool: { name: 'vram', version },
    command: 'plan',
    input,
    result,
    diagnostics: [...diagnostics],
  };
}
