// Parameters that --cpu-offload-gb keeps in host memory. Law: vLLM model_executor/models/utils.py maybe_offload_to_cpu (later
// model_executor/offloader/uva.py): decoder layers in order, parameter by parameter, until the budget is reached.
import type { DeviceTensor } from './types.ts';

/** The tensors that stay on the device: the parameter that crosses the budget still leaves. */
export function withoutOffloaded(tensors: readonly DeviceTensor[], budget: number): DeviceTensor[] {
  let moved = 0;
  return tensors.filter((tensor) => {
    if (tensor.layer === undefined || tensor.part === 'buffers' || moved >= budget) return true;
    moved += tensor.bytes;
    return false;
  });
}
