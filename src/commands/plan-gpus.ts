// `vram plan` without a GPU, for vLLM: which presets' GPUs the deployment fits on, smallest first.
import type { Diagnostic } from '../diagnostics.ts';
import { planVllm } from '../engines/vllm/plan.ts';
import { vllmRegistry } from '../load/flags.ts';
import { envelope } from '../plan/output.ts';
import type { PlanRequest } from '../plan/request.ts';
import type { GpuListOutput } from '../render/gpus.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import { gpuRowsBy } from './gpu-list.ts';

interface GpuListRequest {
  base: Omit<PlanRequest, 'gpus'>;
  engineName: string;
  gpus: readonly GpuSpec[];
  diagnostics: readonly Diagnostic[];
}

export function gpuList({ base, engineName, gpus, diagnostics }: GpuListRequest): GpuListOutput {
  const { spec, scheme, options, release } = base;
  const { tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp } = options;
  const input: GpuListOutput['input'] = {
    model: {
      id: spec.id,
      name: spec.name ?? spec.id,
      hfId: spec.hfId ?? null,
      architecture: spec.architecture,
      scheme: scheme?.id ?? null,
    },
    gpu: null,
    engine: { id: 'vllm', name: engineName, version: base.version, release },
    parallel: { tp, pp, dp, ep: options.enableExpertParallel ? tp * dp : 1 },
  };
  return envelope(
    'plan',
    input,
    { gpus: gpuRowsBy(gpus, (gpu) => planVllm({ ...base, gpus: [gpu] }, vllmRegistry()).plan) },
    diagnostics,
  );
}
