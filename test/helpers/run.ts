// Runs `vram plan` inside the test process, with an Io made of strings: what a shell would see, without the start of a process.
import { run } from '../../src/commands/plan.ts';
import { InputError, VramError } from '../../src/diagnostics.ts';
import type { Io } from '../../src/io.ts';
import type { PlanOutput } from '../../src/plan/output.ts';

export interface TextRun {
  exitCode: number;
  text: string;
  errors: string;
}

async function runText(args: readonly string[], env: Record<string, string> = {}): Promise<TextRun> {
  let text = '';
  let errors = '';
  const io: Io = {
    out: (part) => {
      text += part;
    },
    err: (part) => {
      errors += part;
    },
    env,
    columns: 80,
    colour: false,
    errColour: false,

    errIsTerminal: false,
    cwd: '',
  };
  try {
    return { exitCode: await run(args, io), text, errors };
  } catch (error) {
    if (error instanceof InputError) return { exitCode: 2, text, errors: error.message };
    if (error instanceof VramError) return { exitCode: 3, text, errors: error.message };
    throw error;
  }
}

/** The same with --json among the arguments: the envelope, parsed. */
export async function runPlan(
  args: readonly string[],
): Promise<{ exitCode: number; output?: PlanOutput; errors: string }> {
  const { exitCode, text, errors } = await runText(args);
  return { exitCode, errors, ...(exitCode <= 1 && text ? { output: JSON.parse(text) as PlanOutput } : {}) };
}
