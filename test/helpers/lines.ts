// Command lines as text, answered as JSON inside the test process: `plan('-m llama-2-7b -g "2x rtx4090"')`.
import { parse } from 'shell-quote';
import { run as runQuantize } from '../../src/commands/quantize.ts';
import type { PlanOutput } from '../../src/plan/output.ts';
import type { QuantizeOutput } from '../../src/plan/quantize-output.ts';
import { inProcess, vramPlan } from '../ground-truth/in-process.ts';

export type Planned = PlanOutput & { code: number };

export async function plan(line: string): Promise<Planned> {
  const { code, out } = await vramPlan([...parse(line).map(String), '--json']);
  return { ...(JSON.parse(out) as PlanOutput), code };
}

export async function quantize(line: string): Promise<QuantizeOutput['result']> {
  const { out } = await inProcess(runQuantize, [...parse(line).map(String), '--json']);
  return (JSON.parse(out) as QuantizeOutput).result;
}
