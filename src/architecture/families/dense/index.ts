// Dense decoders: model_type (or architecture class, where a model_type is ambiguous) -> family.
import type { ArchitectureFamily } from '../../types.ts';
import { llama } from './llama.ts';

export const denseFamilies: Readonly<Record<string, ArchitectureFamily>> = {
  llama,
};
