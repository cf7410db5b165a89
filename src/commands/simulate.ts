// `vram simulate`: reads the command line, gets the answer of an engine, a cache or a configured run, writes it in the form asked
// for. Glue only: what a run consists of is simulate-setup.ts, how runs are made simulate-engine.ts, forms simulate-render.ts.
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { standardInputOnce } from '../load/context.ts';
import { checkRequirement, parseRequirement } from '../plan/require.ts';
import { runsOf, type SimulateOutput } from '../plan/simulate-output.ts';
import { visible } from '../render/text.ts';
import { parseDeployed } from './deployed-command.ts';
import { formNamed, styleFor, tellDiagnostics, tellFailedRequirements, writeOutput } from './output.ts';
import { readSimulateArguments, type SimulateArguments, simulateCommand } from './simulate-arguments.ts';
import { simulateCache } from './simulate-cache.ts';
import { cacheOnlyNotes, checkOutputs, idleNotes, repeatedOptions } from './simulate-checks.ts';
import { simulateEngine } from './simulate-engine.ts';
import { checkTimeline, writeTimeline } from './simulate-files.ts';
import { carriesDiagnostics, renderSimulation, type SimulateForm, simulateForms } from './simulate-render.ts';
import { simulateRunConfig } from './simulate-run-config.ts';

export async function run(argv: readonly string[], io: Io): Promise<number> {
  // Counted in what was typed: a deployment says nothing twice.
  let repeated: Set<string> | undefined;
  const make = (): Command => {
    const made = simulateCommand(io);
    repeated ??= repeatedOptions(made);
    return made;
  };
  const parsed = await parseDeployed(argv, { name: 'simulate', make }, io);
  if (!parsed) return 0;
  const { command, deployment, commandWords } = parsed;
  const args = readSimulateArguments(command, repeated!);
  if (args.pool !== undefined) return (await import('./simulate-pool.ts')).simulatePool(args.pool, command, args, io);
  if (deployment?.environment) args.given.env = deployment.environment;
  if (commandWords) args.commandWords = commandWords;
  const requirements = args.require.map(parseRequirement);
  const form = formNamed(args.format, simulateForms);
  checkTimeline(args.timeline);
  checkOutputs(args);
  const { output, exact } = withNotes(await answer(args, form, io), args);
  const outcomes = requirements.map((requirement) => checkRequirement(requirement, output.result));
  if (args.timeline !== undefined) await writeTimeline(args.timeline, output, io);
  const style = styleFor(args.output, io);
  await writeOutput(await renderSimulation(output, { form, outcomes, style }), args.output, io);
  if (!carriesDiagnostics.has(form)) tellDiagnostics(output.diagnostics, io);
  if (!tellsRefusals.has(form) && 'refused' in output.result)
    for (const { policy, reason } of output.result.refused) io.err(`not run: ${visible(policy)}: ${visible(reason)}\n`);
  tellFailedRequirements(outcomes, io);
  return exact && served(output) && outcomes.every(({ holds }) => holds) ? 0 : 1;
}

/** Forms that say themselves which runs could not be made. */
const tellsRefusals: ReadonlySet<SimulateForm> = new Set(
  simulateForms.filter((form) => form !== 'csv' && form !== 'svg'),
);

/** `exact`: a run that states what is expected of it gave just that. */
async function answer(
  args: SimulateArguments,
  form: SimulateForm,
  io: Io,
): Promise<{ output: SimulateOutput; exact: boolean }> {
  const { model, gpu, workload, runConfig } = args;
  standardInputOnce({ '--model': model, '--gpu': gpu, '--workload': workload, '--run-config': runConfig });
  if (args.runConfig !== undefined) return simulateRunConfig(args, io);
  const output = args.cacheOnly ? await simulateCache(args, io) : await simulateEngine(args, form, io);
  return { output, exact: true };
}

function withNotes<Answer extends { output: SimulateOutput }>(answered: Answer, args: SimulateArguments): Answer {
  const notes = [...(args.notes ?? []), ...idleNotes(args), ...(args.cacheOnly ? cacheOnlyNotes(args) : [])];
  const { output } = answered;
  return { ...answered, output: { ...output, diagnostics: [...notes, ...output.diagnostics] } };
}

/** Something was served by every run, and every run could be made; a curve serves nobody. */
function served({ result }: SimulateOutput): boolean {
  if ('curve' in result) return true;
  if ('maxRate' in result && result.maxRate?.scale === null) return false;
  const refused = 'refused' in result && result.refused.length > 0;
  return !refused && runsOf(result).every(({ requests }) => requests.finished > 0);
}
