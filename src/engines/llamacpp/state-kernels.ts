// Weights of state spaces whose operation the CUDA backend has no kernel for: the loader leaves them on the host.
// Law: src/llama-model-loader.cpp (weight_buft_supported), ggml/src/ggml-cuda/ggml-cuda.cu (SSM_SCAN, SSM_CONV).
import type { GgufTensor } from '../../spec/gguf.ts';
import type { LlamaHparams } from './hparams.ts';

/** Channels of a convolution are a multiple of this. */
const convolutionChannels = 128;

export interface StateRules {
  /** Operations of a state space that the backend has: none, all, or those for some sizes. */
  'recurrent.cuda': 'none' | 'all' | 'kernels';
  /** Architectures for which the loader takes ssm_a for the weight of a scan; elsewhere it is a factor. */
  'recurrent.scanning': readonly string[];
}

/** Whether a GPU can run the operation that reads this weight, as far as it is a state space's. */
export function hasStateKernel(
  { name, ne }: GgufTensor,
  { architecture, ssm }: LlamaHparams,
  law: StateRules,
): boolean {
  if (law['recurrent.cuda'] !== 'kernels') return true;
  if (/\.(?:ssm_conv1d|shortconv\.conv)\.weight$/.test(name)) return (ne[1] ?? 1) % convolutionChannels === 0;
  if (!ssm || !name.endsWith('.ssm_a') || !law['recurrent.scanning'].includes(architecture)) return true;
  const heads = ne[1] ?? 1;
  const head = Math.trunc(ssm.inner / heads);
  // Mamba-2 has one decay a head, Mamba one for every value of the state.
  if (ne[0] === 1) return (ssm.state === 128 || ssm.state === 256) && head % 16 === 0;
  return ne[0] === 16 && head === 1 && heads % convolutionChannels === 0 && ssm.groups <= 1;
}
