// A model as a GGUF file describes it: key-value metadata and a list of tensors. A file's header gives it exactly; for a model
// without a file, src/architecture/gguf makes the same description from its configuration, as the converter would.
import type { GgmlType } from './ggml-types.ts';

export type GgufScalar = number | string | boolean;
/** Arrays of the tokenizer are left out; every number is a plain number. */
export type GgufValue = GgufScalar | readonly GgufScalar[];

export interface GgufTensor {
  /** e.g. blk.0.attn_q.weight, token_embd.weight. */
  name: string;
  /** Dimensions as ggml orders them: the row length first. */
  ne: readonly number[];
  type: GgmlType;
}

export interface GgufModel {
  /** general.architecture, e.g. llama, qwen3moe. */
  architecture: string;
  /** Metadata by key; keys of the architecture without its name: block_count, attention.head_count, rope.freq_base, ... */
  metadata: Readonly<Record<string, GgufValue>>;
  tensors: readonly GgufTensor[];
  /** Entries of the tokenizer's vocabulary: rows of token_embd. */
  vocabSize: number;
  /** Absent where the description was made from a configuration. */
  file?: GgufFileFacts;
}

export interface GgufFileFacts {
  /** Bytes of the file or of all its parts, as far as they are there. */
  fileBytes: number;
  /** Bytes of tensor data that the header announces, padding included. */
  dataBytes: number;
  /** Only the header is there. */
  headerOnly: boolean;
  /** Mix that general.file_type names. */
  fileType?: number;
  parts: number;
}
