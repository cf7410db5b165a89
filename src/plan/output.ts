// The JSON envelope of the contract, the same for every command, and what a plan tells of its input. No timestamps; the same input
// gives byte-identical output.
import type { Diagnostic } from '../diagnostics.ts';
import type { NodeSpec } from '../spec/node.ts';
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
    /** The nodes that the GPUs are in, where some were named. */
    nodes?: { id: string; name: string; gpus: number; nvlinkDomain: number }[];
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

/** What the echo of the input says of nodes. */
export function nodesEcho(nodes: readonly NodeSpec[] | undefined): Pick<PlanInputEcho['gpu'], 'nodes'> {
  if (!nodes) return {};
  return { nodes: nodes.map(({ id, name, count, nvlinkDomain }) => ({ id, name, gpus: count, nvlinkDomain })) };
}
