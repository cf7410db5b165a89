// Decoders with recurrent state (Mamba, gated delta net, KDA, short conv) and their hybrids: model_type -> family.
import type { ArchitectureFamily } from '../../types.ts';

export const stateFamilies: Readonly<Record<string, ArchitectureFamily>> = {};
