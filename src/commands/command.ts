// What every command module offers to cli.ts, and how commander is set up so that its errors become our diagnostics.
import { Command, CommanderError, type HelpConfiguration } from 'commander';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';

export interface CommandModule {
  /** Runs with the arguments after the command's name; returns the exit code. */
  run(argv: readonly string[], io: Io): Promise<number>;
}

/** A command whose help opens with examples and whose usage errors are InputErrors. */
export function makeCommand(name: string, description: string, examples: readonly string[], io: Io): Command {
  const help: HelpConfiguration = {
    helpWidth: io.columns,
    sortOptions: false,
    // Descriptions are short: they wrap beside long names too.
    minWidthToWrap: 24,
    showGlobalOptions: false,
    commandUsage: (shown) => `${name === 'vram' ? '' : 'vram '}${shown.name()} ${shown.usage()}`,
  };
  const command = new Command(name);
  command
    .description(description)
    .configureHelp(help)
    .addHelpText('beforeAll', `Examples:\n${examples.map((example) => `  $ ${example}`).join('\n')}\n`)
    .helpOption('-h, --help', 'show this help')
    .option('--no-color', 'no colour (also: NO_COLOR=1)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => {
        // Usage errors come back as exceptions and are written by the caller; only help asked for as an error is written here.
        if (!text.startsWith('error: ')) io.err(text);
      },
      getOutHelpWidth: () => io.columns,
      getErrHelpWidth: () => io.columns,
    });
  return command;
}

/** Parses; false when help was shown and there is nothing left to do. */
export async function parseCommand(command: Command, argv: readonly string[]): Promise<boolean> {
  try {
    await command.parseAsync([...argv], { from: 'user' });
    return true;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (
      error.code === 'commander.helpDisplayed' ||
      error.code === 'commander.help' ||
      error.code === 'commander.version'
    )
      return false;
    const [message = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
    const suggestion = rest.join(' ').replace(/[()]/g, '').trim();
    throw inputError('VRAM100', message, {
      hint: suggestion || `see vram ${command.name() === 'vram' ? '' : `${command.name()} `}--help`,
    });
  }
}
