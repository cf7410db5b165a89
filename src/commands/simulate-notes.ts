// Options of a simulation that `vllm serve` has too: read from an existing command, and told where a release does not have them or
// nothing says how large they are. Also what a plan's requirement comes to.
import type { Diagnostic } from '../diagnostics.ts';
import type { ReadCommand } from '../engines/vllm/from-command.ts';
import { inRange, releaseIndex } from '../engines/vllm/releases.ts';
import { vllmFlags } from '../load/flags.ts';
import { thousands } from '../numbers.ts';
import type { Plan } from '../plan/types.ts';
import { longNames } from '../spec/engine-options.ts';
import type { EngineOptions } from '../spec/options.ts';
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
    const idle = !hasModel && needModel.has(entry.key) ? [withoutModel(name)] : [];
    // The policy v0 swaps whatever the release.
    if (entry.key === 'swapSpaceGiB' && policies.includes('v0')) return idle;
    if (!flag || inRange(release, flag.since, flag.until)) return idle;
    const when =
      flag.since && releaseIndex(flag.since) > releaseIndex(release)
        ? `comes with ${flag.since}`
        : `was removed after ${flag.until}`;
    const message = `${name} ${when}: vLLM ${release} does not have it`;
    return [{ severity: 'warning', code: 'VRAM411', message, path: name }, ...idle];
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

/** GPUs that are given and that no rank of the layout runs on. */
export function unusedGpus(given: number, options: EngineOptions): Diagnostic[] {
  const { tensorParallelSize, pipelineParallelSize, dataParallelSize } = options;
  const used = tensorParallelSize * pipelineParallelSize * dataParallelSize;
  if (used >= given) return [];
  const message = `${used} of the ${given} GPUs ${used === 1 ? 'is' : 'are'} used: the layout has ${used === 1 ? 'one rank' : `${used} ranks`}`;
  const hint = `--tensor-parallel-size ${given} shares each layer, --data-parallel-size ${given} makes replicas`;
  return [{ severity: 'note', code: 'VRAM685', message, hint, path: '--gpu' }];
}

/** What a plan says of one replica; a simulation counts over all. */
export function countedOverReplicas(diagnostic: Diagnostic, replicas: number): Diagnostic {
  if (diagnostic.code !== 'VRAM515' || diagnostic.path !== '--data-parallel-size') return diagnostic;
  const message = `${replicas} replicas, each with a pool of its own: blocks, cache and requests are counted over all of them`;
  return { ...diagnostic, message };
}

/** A fixed number of blocks of another size is another amount of memory. */
export function sweepNotes({ sweeps, simulation, given }: SimulateArguments): Diagnostic[] {
  const fixed = simulation.numGpuBlocks !== undefined ? '--num-gpu-blocks' : '--num-gpu-blocks-override';
  if (fixed === '--num-gpu-blocks-override' && given.numGpuBlocksOverride === undefined) return [];
  if (!sweeps.some(({ key }) => key === 'block-size')) return [];
  return [
    {
      severity: 'note',
      code: 'VRAM686',
      message: `with ${fixed} the block sizes are compared in pools of different bytes: as many blocks, each larger or smaller`,
      hint: `leave ${fixed} out, so that the plan fills the same memory`,
      path: '--sweep',
    },
  ];
}
