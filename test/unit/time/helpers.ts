// A step-time model for a preset model on a preset GPU, with an engine's usual options.
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { resolveGpus, resolveModel } from '../../../src/load/index.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import { createStepTime, type StepTime, type StepTimeOptions } from '../../../src/sim/time/index.ts';
import { findScheme } from '../../../src/spec/quantization.ts';

export const captureSizes = [1, 2, 4, ...Array.from({ length: 64 }, (_, i) => 8 * (i + 1))];

const usual: StepTimeOptions = {
  dtype: 'bfloat16',
  kvCacheDtype: 'bfloat16',
  tensorParallelSize: 1,
  pipelineParallelSize: 1,
  dataParallelSize: 1,
  enableExpertParallel: false,
  enforceEager: false,
  cudagraphMode: 'FULL_AND_PIECEWISE',
  captureSizes,
  asyncScheduling: true,
};

export async function stepTimeOf(
  model: string,
  gpu: string,
  options: Partial<StepTimeOptions> & { scheme?: string } = {},
): Promise<{ stepTime: StepTime; layers: number }> {
  const { scheme: schemeId, ...engine } = options;
  const { spec } = await resolveModel(model);
  const { gpus } = await resolveGpus(gpu);
  const architecture = expandArchitecture(spec);
  const scheme = schemeId === undefined ? undefined : findScheme(loadPresets('quantizations'), schemeId);
  const stepTime = createStepTime({ spec, architecture, gpu: gpus[0]!, scheme, options: { ...usual, ...engine } })!;
  return { stepTime, layers: spec.config.layers };
}
