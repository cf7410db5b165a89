// Runs `vram plan` in this process and keeps what it wrote: fast enough to plan every ground-truth case in every form.

import { run } from '../../src/commands/plan.ts';
import type { Io } from '../../src/io.ts';
import type { PlanOutput } from '../../src/plan/output.ts';

export interface Ran {
  code: number;
  out: string;
  err: string;
}

export async function vramPlan(args: readonly string[], columns = 80, colour = false): Promise<Ran> {
  return inProcess(run, args, columns, colour);
}

export async function inProcess(
  command: (argv: readonly string[], io: Io) => Promise<number>,
  args: readonly string[],
  columns = 80,
  colour = false,
): Promise<Ran> {
  const ran: Ran = { code: -1, out: '', err: '' };
  const io: Io = {
    out: (text) => {
      ran.out += text;
    },
    err: (text) => {
      ran.err += text;
    },
    env: {},
    columns,
    colour,
    errColour: colour,

    errIsTerminal: false,
    cwd: process.cwd(),
  };
  ran.code = await command(args, io);
  return ran;
}

export async function planJson(args: readonly string[]): Promise<PlanOutput> {
  return JSON.parse((await vramPlan([...args, '--json'])).out) as PlanOutput;
}
