// The command line of `plan` and `simulate`, whose --deployment stands for words of their own: read once for the name, and, with the
// deployment's words before the user's, once more, so that what is typed wins. What follows `--` is an existing command.
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { parseCommand } from './command.ts';
import type { OpenedDeployment } from './deployment.ts';

export interface DeployedCommand {
  command: Command;
  deployment: OpenedDeployment | undefined;
  /** The existing command behind `--`. */
  commandWords: readonly string[] | undefined;
}

interface Deployable {
  name: 'plan' | 'simulate';
  make(): Command;
  /** Options as commander takes them. */
  words?(own: readonly string[]): readonly string[];
}

/** Undefined when help was shown and there is nothing left to do. */
export async function parseDeployed(
  argv: readonly string[],
  { name, make, words = (own) => own }: Deployable,
  io: Io,
): Promise<DeployedCommand | undefined> {
  const separator = argv.indexOf('--');
  const own = words(separator < 0 ? argv : argv.slice(0, separator));
  const commandWords = separator < 0 ? undefined : argv.slice(separator + 1);
  const command = make();
  if (!(await parseCommand(command, own))) return undefined;
  const { deployment: ref, fromCommand } = command.opts<{ deployment?: string; fromCommand?: string }>();
  if (ref === undefined) return { command, deployment: undefined, commandWords };
  const existing = commandWords !== undefined || fromCommand !== undefined;
  const deployment = await (await import('./deployment.ts')).openDeployment(ref, name, existing, io);
  const whole = make();
  await parseCommand(whole, [...deployment.words, ...own]);
  return { command: whole, deployment, commandWords };
}
