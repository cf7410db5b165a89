// The only file that touches `process`: it makes the Io, picks the command, and maps errors to exit codes (contract: 0 fits,
// 1 does not, 2 input, 3 environment, 70 our fault). Commands are loaded on demand, one small bundle each.
import { pathToFileURL } from 'node:url';
import type { CommandModule } from './commands/command.ts';
import { type Diagnostic, isInputError, isVramError, VramError } from './diagnostics.ts';
import type { Io } from './io.ts';
import { diagnosticLines } from './render/diagnostics.ts';

const loaders: Readonly<Record<string, () => Promise<CommandModule>>> = {
  plan: () => import('./commands/plan.ts'),
  simulate: () => import('./commands/simulate.ts'),
  compare: () => import('./commands/compare.ts'),
  quantize: () => import('./commands/quantize.ts'),
  list: () => import('./commands/list.ts'),
  show: () => import('./commands/show.ts'),
  schema: () => import('./commands/schema.ts'),
  completion: () => import('./commands/completion.ts'),
};

void main(process.argv.slice(2));

/** Runs one command line; sets process.exitCode, never exits by force (a pipe would lose what is not yet written). */
async function main(argv: readonly string[]): Promise<void> {
  const io = processIo(argv);
  watchStreams(io);
  try {
    const [name = '', ...rest] = helpAsOption(argv);
    const load = Object.hasOwn(loaders, name) ? loaders[name] : undefined;
    const code = load ? await (await load()).run(rest, io) : await (await import('./commands/root.ts')).run(argv, io);
    process.exitCode ||= code;
  } catch (error) {
    process.exitCode = nobodyReads ? 0 : report(error, io);
  }
}

/** `vram help plan` is `vram plan --help`. */
function helpAsOption(argv: readonly string[]): readonly string[] {
  const [first, second] = argv;
  return first === 'help' && second !== undefined && Object.hasOwn(loaders, second) ? [second, '--help'] : argv;
}

function report(error: unknown, io: Io): number {
  if (isInputError(error)) {
    io.err(diagnosticLines(error.diagnostics, { colour: io.errColour, columns: io.columns }));
    return 2;
  }
  if (isVramError(error)) {
    const diagnostic: Diagnostic = { severity: 'error', code: error.code, message: error.message, hint: error.hint };
    io.err(diagnosticLines([diagnostic], { colour: io.errColour, columns: io.columns }));
    return 3;
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  io.err(`vram: a fault of the program, please report it with the command line:\n${stack}\n`);
  return 70;
}

/** Standard output was closed by who read it. */
let nobodyReads = false;

/** `vram ... | head` closes the pipe early: that is not an error. A full disk behind standard output is. */
function watchStreams(io: Io): void {
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') {
      nobodyReads = true;
      return;
    }
    const trouble = new VramError('VRAM302', `cannot write to standard output: ${error.code ?? error.message}`);
    process.exitCode = report(trouble, io);
  });
}

function processIo(argv: readonly string[]): Io {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    drained: () => drained(process.stdout),
    interrupted,
    env: process.env,
    columns: Math.min(Math.max(process.stdout.columns || 80, 40), 120),
    colour: wantsColour(process.stdout, argv),
    errColour: wantsColour(process.stderr, argv),
    errIsTerminal: process.stderr.isTTY === true,
    cwd: pathToFileURL(`${process.cwd()}/`).href,
    progress: async (text) =>
      // A terminal without a size (docker run -t, script) would have the spinner clear lines for ever.
      process.stderr.isTTY && process.stderr.columns > 0
        ? (await import('./commands/progress.ts')).progress(text, process.stderr)
        : () => undefined,
  };
}

/** Rejects where nobody reads any more: what is still to come need not be worked out. */
async function drained(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableNeedDrain && !nobodyReads)
    await new Promise<void>((resolve) => {
      const events = ['drain', 'close', 'error'];
      const done = (): void => {
        for (const event of events) stream.off(event, done);
        resolve();
      };
      for (const event of events) stream.on(event, done);
    });
  if (nobodyReads) throw new Error('nobody reads the answer');
}

/** A handler keeps Ctrl-C from ending the program, so it ends it itself, by the same signal. */
function interrupted(act: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const on = (signal: NodeJS.Signals): void => {
    act();
    off();
    process.kill(process.pid, signal);
  };
  const off = (): void => {
    for (const signal of signals) process.off(signal, on);
  };
  for (const signal of signals) process.on(signal, on);
  return off;
}

/** NO_COLOR and --no-color win, then FORCE_COLOR, then whether the stream is a capable terminal. */
function wantsColour(stream: NodeJS.WriteStream, argv: readonly string[]): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if ((NO_COLOR !== undefined && NO_COLOR !== '') || argv.includes('--no-color')) return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return stream.isTTY === true && TERM !== 'dumb';
}
