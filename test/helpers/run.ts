// `vram plan --json` inside the test process: exit code, envelope, messages, as a shell would see them.
import { InputError, VramError } from '../../src/diagnostics.ts';
import type { PlanOutput } from '../../src/plan/output.ts';
import { vramPlan } from '../ground-truth/in-process.ts';

/** Expects --json among the arguments; refusals become their exit codes. */
export async function runPlan(
  args: readonly string[],
): Promise<{ exitCode: number; output?: PlanOutput; errors: string }> {
  try {
    const { code, out, err } = await vramPlan(args);
    return { exitCode: code, errors: err, ...(code <= 1 && out ? { output: JSON.parse(out) as PlanOutput } : {}) };
  } catch (error) {
    if (error instanceof InputError) return { exitCode: 2, errors: error.message };
    if (error instanceof VramError) return { exitCode: 3, errors: error.message };
    throw error;
  }
}
