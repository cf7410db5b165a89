// How a model goes over several GPUs where nothing says so: tensor parallel as far as the heads divide, stages for the rest.
import type { Diagnostic } from '../diagnostics.ts';
import type { PlanRequest } from '../plan/request.ts';
import type { EngineOptions } from '../spec/options.ts';

export function splitOver(
  { spec }: PlanRequest,
  given: Partial<EngineOptions>,
  count: number,
  diagnostics: Diagnostic[],
): Partial<Pick<EngineOptions, 'tensorParallelSize' | 'pipelineParallelSize'>> {
  const stated = given.tensorParallelSize ?? given.pipelineParallelSize ?? given.dataParallelSize;
  if (count <= 1 || stated !== undefined) return {};
  const heads = spec.config.heads || 1;
  let tp = count;
  while (count % tp !== 0 || heads % tp !== 0) tp--;
  const pp = count / tp;
  diagnostics.push({
    severity: 'note',
    code: 'VRAM520',
    message:
      pp === 1
        ? `vLLM splits every layer over the ${count} GPUs (--tensor-parallel-size ${tp})`
        : `the ${heads} heads do not divide by ${count}: vLLM is planned with --tensor-parallel-size ${tp} and --pipeline-parallel-size ${pp}`,
    hint: 'another layout: --tp, --pp or --dp',
  });
  return { tensorParallelSize: tp, ...(pp === 1 ? {} : { pipelineParallelSize: pp }) };
}
