// Mixture-of-experts and MLA decoders: model_type -> family.
import type { ArchitectureFamily } from '../../types.ts';

export const moeFamilies: Readonly<Record<string, ArchitectureFamily>> = {};
