// Models with an encoder tower: a text family plus vision or audio tensors: model_type -> family.
import type { ArchitectureFamily } from '../../types.ts';

export const multimodalFamilies: Readonly<Record<string, ArchitectureFamily>> = {};
