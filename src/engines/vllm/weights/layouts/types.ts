// What a layout is told about the rank it lays out for, and what it answers: the tensors of one module after vLLM's
// post-processing of the weights, as [name suffix, bytes].
import type { QuantizationScheme } from '../../../../spec/quantization.ts';
import type { WeightRules } from '../rules.ts';
import type { ExpertsModule, LinearModule } from '../types.ts';

export interface LayoutContext {
  /** Compute capability times ten: 90 for 9.0; 0 where the vendor has none. */
  capability: number;
  /** An AMD GPU; CDNA 4 has scaled matrix products of its own. */
  rocm?: 'cdna4' | 'other';
  multiprocessors: number;
  dtypeBytes: number;
  rules: Partial<WeightRules>;
  scheme: QuantizationScheme;
}

/** `loader-state`: printed with the weights, but held by the loader's objects and not by the module. */
export type Pieces = [suffix: string, bytes: number, kept?: 'loader-state'][];
export type LinearLayout = (module: LinearModule, context: LayoutContext) => Pieces;
export type ExpertsLayout = (module: ExpertsModule, context: LayoutContext) => Pieces;
