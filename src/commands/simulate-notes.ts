// Options of a simulation that `vllm serve` has too: read from an existing command, and told where a release does not have them or
// nothing says how large they are. Also what a plan's requirement comes to.
import type { Diagnostic } from '../diagnostics.ts';
import type { ReadCommand } from '../engines/vllm/from-command.ts';
import { inRange, releaseIndex } from '../engines/vllm/releases.ts';
import { vllmFlags } from '../load/flags.ts';
import { thousands } from '../numbers.ts';
import type { Plan } from '../plan/types.ts';
import { longNames } from '../spec/engine-options.ts';
import { type SimulationOptions, simulationOptionTable } from '../spec/simulation-options.ts';
import type { SimulateArguments } from './simulate-arguments.ts';

/** Options that this release does not have, and those that need the bytes of a block where no model gives them. */
export function optionNotes(
  { simulation, policies }: SimulateArguments,
  release: string,
  hasModel: boolean,
): Diagnostic[] {
  const given = commandOptions.filter(({ key }) => simulation[key] !== undefined);
  if (given.length === 0) return [];
  const flags = vllmFlags();
  const needModel = new Set<keyof SimulationOptions>(['swapSpaceGiB', 'kvOffloadingSizeGiB', 'kvOffloadingDiskGiB']);
  return given.flatMap((entry): Diagnostic[] => {
    const [name] = longNames(entry) as [string];
    const flag = flags.find((candidate) => candidate.flag === name);
    if (!hasModel && needModel.has(entry.key)) return [withoutModel(name)];
    // The policy v0 swaps whatever the release.
    if (entry.key === 'swapSpaceGiB' && policies.includes('v0')) return [];
    if (!flag || inRange(release, flag.since, flag.until)) return [];
    const when =
      flag.since && releaseIndex(flag.since) > releaseIndex(release)
        ? `comes with ${flag.since}`
        : `was removed after ${flag.until}`;
    const message = `${name} ${when}: vLLM ${release} does not have it`;
    return [{ severity: 'warning', code: 'VRAM411', message, path: name }];
  });
}

function withoutModel(name: string): Diagnostic {
  return {
    severity: 'warning',
    code: 'VRAM677',
    message: `${name} is without effect: only a model says how many bytes a block has`,
    hint: 'give --model and --gpu',
    path: name,
  };
}

/** Options of the simulation that `vllm serve` has too. */
export const commandOptions = simulationOptionTable.filter(({ ofEngine }) => ofEngine);

export function writtenOptions(command: ReadCommand | undefined): SimulationOptions {
  const options: SimulationOptions = {};
  for (const { flag, value } of command?.options ?? []) {
    const entry = commandOptions.find((candidate) => longNames(candidate).includes(flag));
    if (entry) Object.assign(options, { [entry.key]: entry.read(String(value), flag) });
  }
  return options;
}

/** --context is a requirement of the plan; a simulation goes on all the same. */
export function requirementNote({ workload }: Plan): Diagnostic[] {
  if (workload?.fits !== false) return [];
  const most = `at most ${thousands(workload.maxContextAtConcurrency)} tokens fit`;
  const message = `the plan does not hold ${thousands(workload.concurrency)} x ${thousands(workload.context)} tokens: ${most}`;
  return [{ severity: 'warning', code: 'VRAM675', message, path: '--context' }];
}
