// Weights of state spaces whose operation the CUDA backend has no kernel for: the loader leaves them on the host.
// Law: src/llama-model-loader.cpp (weight_buft_supported), ggml/src/ggml-cuda/ggml-cuda.cu (SSM_SCAN, SSM_CONV).
import type { GgufTensor } from '../../spec/gguf.ts';
import type { LlamaHparams } from './hparams.ts';

/** Channels of a convolution are a multiple of this. */
const convolutionChannels = 128;

/** Architectures whose ssm_a a scan reads; elsewhere it is a factor. */
const scanning: readonly string[] = [
  'falcon-h1',
  'granitehybrid',
  'graniteswitch',
  'jamba',
  'mamba',
  'mamba2',
  'nemotron_h',
  'nemotron_h_moe',
  'plamo2',
];

/** Whether a GPU can run the operation that reads this weight, as far as it is a state space's. */
export function hasStateKernel({ name, ne }: GgufTensor, { architecture, ssm }: LlamaHparams): boolean {
  if (/\.(?:ssm_conv1d|shortconv\.conv)\.weight$/.test(name)) return (ne[1] ?? 1) % convolutionChannels === 0;
  if (!ssm || !name.endsWith('.ssm_a') || !scanning.includes(architecture)) return true;
  const heads = ne[1] ?? 1;
  const head = Math.trunc(ssm.inner / heads);
  // Mamba-2 has one decay a head, Mamba one for every value of the state.
  if (ne[0] === 1) return (ssm.state === 128 || ssm.state === 256) && head % 16 === 0;
  return ne[0] === 16 && head === 1 && heads % convolutionChannels === 0 && ssm.groups <= 1;
}
