// The JSON envelope of the contract, the same for every command, and what a plan tells of its input. No timestamps; the same input
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

/** What every command answers with: what was asked (resolved), the result, the diagnostics. */
export interface Envelope<Command extends string, Input, Result> {
  schemaVersion: 1;
  tool: { name: 'vram'; version: string };
  command: Command;
  input: Input;
  result: Result;
  diagnostics: Diagnostic[];
}

export type PlanOutput = Envelope<'plan', PlanInputEcho, Plan>;

export function envelope<Command extends string, Input, Result>(
  command: Command,
  input: Input,
  result: Result,
  diagnostics: readonly Diagnostic[],
): Envelope<Command, Input, Result> {
  return {
    schemaVersion: 1,
    tool: { name: 'vram', version },
    command,
    input,
    result,
    diagnostics: [...diagnostics],
  };
}
