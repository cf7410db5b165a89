// Reads a case of test/ground-truth/vllm-startups.json into what the defaults and memory rules take, so that each term can be
// judged with the log's own weight figure.
import { readFileSync } from 'node:fs';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { resolveOptions } from '../../../src/engines/vllm/defaults/index.ts';
import type { DefaultsRules } from '../../../src/engines/vllm/defaults/rules.ts';
import { type MemoryBudget, memoryBudget } from '../../../src/engines/vllm/memory/index.ts';
import type { MemoryRules } from '../../../src/engines/vllm/memory/rules.ts';
import { type Profile, resolveProfile } from '../../../src/engines/vllm/profile.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import type { GpuSpec } from '../../../src/spec/gpu.ts';
import type { ModelSpec } from '../../../src/spec/model.ts';
import { defaultParallel, type EngineOptions } from '../../../src/spec/options.ts';
import { GiB } from '../../../src/units.ts';

export interface StartCase {
  id: string;
  engine: string;
  vllmVersion: string;
  modelSlug: string;
  gpu: string | null;
  args: string[] | string;
  outcome: string;
  judge: string[];
  note?: string;
  observed: { weightsGiB?: number; kvGiB?: number; activationGiB?: number; nonTorchGiB?: number };
}

export const starts: StartCase[] = JSON.parse(
  readFileSync(new URL('../../ground-truth/vllm-startups.json', import.meta.url), 'utf8'),
).cases;

export function modelOf(id: string): ModelSpec {
  const model = loadPresets('models').find((entry) => entry.id === id);
  if (!model) throw new Error(`no model ${id}`);
  return model;
}

export function gpuOf(id: string): GpuSpec {
  const gpu = loadPresets('gpus').find((entry) => entry.id === id);
  if (!gpu) throw new Error(`no gpu ${id}`);
  return gpu;
}

export function profileOf(version: string): Profile<DefaultsRules & MemoryRules> {
  return resolveProfile(loadPresets('vllm-rules'), version);
}

const numeric: Readonly<Record<string, keyof EngineOptions>> = {
  '--gpu-memory-utilization': 'gpuMemoryUtilization',
  '--max-model-len': 'maxModelLen',
  '--max-num-batched-tokens': 'maxNumBatchedTokens',
  '--max-num-seqs': 'maxNumSeqs',
  '--tp': 'tensorParallelSize',
  '--pp': 'pipelineParallelSize',
  '--block-size': 'blockSize',
};
const textual: Readonly<Record<string, keyof EngineOptions>> = {
  '--dtype': 'dtype',
  '--kv-cache-dtype': 'kvCacheDtype',
  '--quantization': 'quantization',
};

function optionsOf(start: StartCase): { options: EngineOptions; totalBytes?: number; gpu: string } {
  const args = typeof start.args === 'string' ? start.args.split(' ') : start.args;
  const options: Record<string, unknown> = { ...defaultParallel };
  let totalBytes: number | undefined;
  let gpu = start.gpu ?? '';
  args.forEach((arg, at) => {
    const value = args[at + 1] ?? '';
    if (numeric[arg]) options[numeric[arg]] = Number(value);
    if (textual[arg]) options[textual[arg]] = value;
    if (arg === '--enable-expert-parallel') options.enableExpertParallel = true;
    if (arg === '--gpu') gpu = value;
    if (arg === '--gpu-memory') totalBytes = Math.round(Number.parseFloat(value) * GiB);
  });
  return { options: options as unknown as EngineOptions, gpu, ...(totalBytes === undefined ? {} : { totalBytes }) };
}

/** The budget of the tightest rank, with the weights that the log printed. */
export function budgetOf(start: StartCase): MemoryBudget {
  const spec = modelOf(start.modelSlug);
  const architecture = expandArchitecture(spec);
  const { options, totalBytes, gpu: gpuId } = optionsOf(start);
  const gpu = gpuOf(gpuId);
  const profile = profileOf(start.vllmVersion);
  const { resolved } = resolveOptions({ options, spec, architecture, gpu, profile });
  const loadedBytes = Math.round((start.observed.weightsGiB ?? 0) * GiB);
  const budgets = [0, resolved.pipelineParallelSize - 1].map((stage) =>
    memoryBudget({
      spec,
      architecture,
      options: resolved,
      gpu,
      profile,
      place: { tensorRank: 0, stage },
      weights: { tensorBytes: loadedBytes, loadedBytes },
      ...(totalBytes === undefined ? {} : { totalBytes }),
    }),
  );
  return budgets.reduce((tight, next) => (next.availableBytes < tight.availableBytes ? next : tight));
}
