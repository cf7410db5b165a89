// Which GPUs Ollama hands to llama-server, and which loaded models have to go first. Law: server/sched.go
// selectLlamaServerPlacement, load, findRunnerToUnload. How many layers then fit is llama.cpp's own --fit.
import { percentOf } from './predict.ts';
import type { OllamaGpu, OllamaLoaded, OllamaPlan, OllamaRequest } from './types.ts';

export interface OllamaPlacement {
  placement: OllamaPlan['placement'];
  /** Positions in the list of GPUs. */
  gpus: number[];
  availableBytes: number;
  /** --split-mode none --main-gpu. */
  mainGpu?: number;
}

type PlacementInput = Pick<OllamaRequest, 'rules' | 'gpus' | 'systemFreeBytes' | 'environment' | 'parameters'>;

/**
 * One GPU of several if the prediction stays within 80 % of what is free on it, the discrete one with most free memory first; else all
 * GPUs of the library with most free memory. OLLAMA_SCHED_SPREAD skips the first, main_gpu takes the GPU it names.
 */
export function placeOllama(input: PlacementInput, predictedBytes: number): OllamaPlacement {
  const { gpus, parameters = {}, environment = {}, systemFreeBytes = 0 } = input;
  const all = gpus.map((_, at) => at);
  if (gpus.length === 0 || parameters.numGpu === 0) return { placement: 'cpu', gpus: [], availableBytes: 0 };
  const available = (at: number): number => availableOn(gpus[at]!, systemFreeBytes);
  const { mainGpu } = parameters;
  const given = mainGpu === undefined ? {} : { mainGpu };
  if (gpus.length === 1) return { placement: 'only gpu', gpus: all, availableBytes: available(0), ...given };
  const groups = byLibrary(gpus);
  const best = (candidates: readonly number[]): number | undefined =>
    candidates.reduce<number | undefined>(
      (held, at) =>
        held === undefined || isBetter(gpus[at]!, available(at), gpus[held]!, available(held)) ? at : held,
      undefined,
    );
  const fitting = groups.flat().filter((at) => predictedBytes <= percentOf(available(at), input.rules['fit-percent']));
  const chosen =
    mainGpu !== undefined
      ? best(groups.flatMap((group) => group[mainGpu] ?? []))
      : environment.schedSpread || predictedBytes === 0
        ? undefined
        : best(fitting);
  if (chosen !== undefined)
    return { placement: 'one of several', gpus: [chosen], availableBytes: available(chosen), mainGpu: 0 };
  const group = bestGroup(groups, gpus, systemFreeBytes);
  // A main_gpu outside of every group is passed through all the same.
  return {
    placement: 'spread',
    gpus: group,
    availableBytes: availableTogether(group, gpus, systemFreeBytes),
    ...given,
  };
}

/** Free memory of an integrated GPU is not more than what the host has free. */
function availableOn({ integrated, freeBytes }: OllamaGpu, systemFreeBytes: number): number {
  return integrated && systemFreeBytes > 0 && systemFreeBytes < freeBytes ? systemFreeBytes : freeBytes;
}

export function availableTogether(
  group: readonly number[],
  gpus: readonly OllamaGpu[],
  systemFreeBytes: number,
): number {
  const sum = (integrated: boolean): number =>
    group.reduce((total, at) => total + (Boolean(gpus[at]!.integrated) === integrated ? gpus[at]!.freeBytes : 0), 0);
  const shared = sum(true);
  return sum(false) + (systemFreeBytes > 0 && shared > 0 ? Math.min(shared, systemFreeBytes) : shared);
}

function byLibrary(gpus: readonly OllamaGpu[]): number[][] {
  const groups = new Map<string, number[]>();
  gpus.forEach(({ library }, at) => {
    const group = groups.get(library);
    if (group) group.push(at);
    else groups.set(library, [at]);
  });
  return [...groups.values()];
}

function isBetter(candidate: OllamaGpu, candidateBytes: number, held: OllamaGpu, heldBytes: number): boolean {
  if (Boolean(candidate.integrated) !== Boolean(held.integrated)) return !candidate.integrated;
  return candidateBytes > heldBytes;
}

function bestGroup(groups: readonly number[][], gpus: readonly OllamaGpu[], systemFreeBytes: number): number[] {
  const discrete = (group: readonly number[]): boolean => group.some((at) => !gpus[at]!.integrated);
  const bytes = (group: readonly number[]): number => availableTogether(group, gpus, systemFreeBytes);
  return groups.reduce((best, group) => {
    if (discrete(group) !== discrete(best)) return discrete(group) ? group : best;
    return bytes(group) > bytes(best) ? group : best;
  });
}

/** The loaded model to unload next: idle ones first, the shortest keep-alive, then by name. */
export function nextToEvict(loaded: readonly OllamaLoaded[]): OllamaLoaded | undefined {
  const order = [...loaded].sort(
    (a, b) => a.keepAliveSeconds - b.keepAliveSeconds || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  return order.find(({ idle }) => idle) ?? order[0];
}

/** Free memory once a model is unloaded. */
export function withoutModel(gpus: readonly OllamaGpu[], model: OllamaLoaded): OllamaGpu[] {
  return gpus.map((gpu, at) => ({
    ...gpu,
    freeBytes: Math.min(gpu.totalBytes, gpu.freeBytes + (model.gpuBytes[at] ?? 0)),
  }));
}
