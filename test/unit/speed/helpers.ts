// A planned deployment by the words of a command line, asked for its speed.
import { resolveArguments } from '../../../src/commands/plan-request.ts';
import { planVllm, type VllmPlanned } from '../../../src/engines/vllm/plan.ts';
import { quietIo } from '../../../src/io.ts';
import { vllmRegistry } from '../../../src/load/flags.ts';
import { type DeploymentSpeed, estimateSpeed, type SpeedShape } from '../../../src/plan/speed/index.ts';
import type { EngineOptions } from '../../../src/spec/options.ts';

export interface Deployed {
  planned: VllmPlanned;
  speed: (shape: SpeedShape) => DeploymentSpeed;
}

export async function deployed(model: string, gpu: string, given: Partial<EngineOptions> = {}): Promise<Deployed> {
  const args = { model, gpu, engine: 'vllm@0.19.0', require: [], matrix: false, explain: false };
  const resolved = await resolveArguments({ ...args, given: { maxModelLen: 8192, ...given } }, quietIo());
  const { request } = resolved.devices!;
  const planned = planVllm(request, vllmRegistry());
  return { planned, speed: (shape) => estimateSpeed({ planned, request, shape })! };
}
