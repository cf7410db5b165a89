// What is said where another engine plans the model of a GGUF file. Apart from the reading of such files, which most plans never load.
import type { Diagnostic } from '../diagnostics.ts';
import { tensorBytes } from '../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../spec/gguf.ts';
import { sum } from '../units.ts';

/** For plans of other engines: what is planned is the model, not this file. */
export function sixteenBitNote(model: GgufModel): Diagnostic {
  const bytes = sum(model.tensors.map(({ type, ne }) => tensorBytes(type, ne)));
  return {
    severity: 'warning',
    code: 'VRAM128',
    message: `planned as the 16-bit model of this geometry (${2 * elementsOf(model.tensors)} bytes), not as this GGUF file (${bytes} bytes)`,
    hint: '--engine llama.cpp plans the file itself; -q names a scheme for this engine',
    path: '--model',
  };
}

export function elementsOf(tensors: readonly GgufTensor[]): number {
  return sum(tensors.map(({ ne }) => ne.reduce((product, length) => product * length, 1)));
}
