// What the conversion of one architecture consists of: its name in llama.cpp, its metadata, and where it departs from the common
// rules. Law: convert_hf_to_gguf.py and conversion/ (v0.5.0).
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { GgufTensor, GgufValue } from '../../spec/gguf.ts';
import type { ModelConfig, ModelSpec } from '../../spec/model.ts';
import type { Architecture, TensorGroup } from '../types.ts';
import type { NameTable } from './names.ts';

export type Metadata = Record<string, GgufValue>;

/** One GGUF tensor of a block (or of the root), row length first. */
export interface Piece {
  name: string;
  ne: readonly number[];
  type?: GgmlType;
}

export interface Context {
  spec: ModelSpec;
  config: ModelConfig;
  expanded: Architecture;
}

/** Several or other tensors than the renamed one: splits, fusions, changes of shape. */
export type Transform = (group: TensorGroup, context: Context) => readonly Piece[];

export interface Conversion {
  /** general.architecture. */
  architecture: string;
  metadata?: (context: Context) => Metadata;
  /** Names that differ from the common tables, as those are keyed (with or without suffix). */
  names?: NameTable;
  /** By the name inside its block, suffix included. */
  transforms?: Readonly<Record<string, Transform>>;
  /** Tensors that are in no checkpoint: rotary factors. */
  extra?: (context: Context) => readonly GgufTensor[];
  /** Types of a checkpoint that is not 16-bit throughout; undefined: the common rule. */
  sourceType?: (group: TensorGroup) => GgmlType | undefined;
  /** Names inside their block that the converter leaves out, suffix included. */
  dropped?: readonly string[];
  /**
   * What becomes of the blocks that only draft: in every file since the architecture is known, only in files of the newest
   * converters (recent), or in none.
   */
  drafts?: 'kept' | 'recent';
}
