// The output buffer (logits and embeddings that the program reads) and the memory of a process outside every printed buffer. Law:
// src/llama-context.cpp output_reserve; the overhead is measured, not derived.
import type { GgufModel } from '../../spec/gguf.ts';
import { MiB } from '../../units.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaRules } from './rules.ts';
import type { ContextParams, Placement } from './types.ts';

interface OutputRules {
  'output.embeddings': 'instead' | 'beside';
  'context.overheadMiB': { typical: number; low: number; high: number };
}

export interface OutputBuffer {
  bytes: number;
  /** Pinned memory of the GPU that has the output layer, else plain memory. */
  place: 'pinned' | 'cpu';
}

const float = 4;

/** One row of logits, and in embedding mode of the embedding, for each sequence; the buffer grows later with a batch's outputs. */
export function outputBuffer(input: {
  model: GgufModel;
  hparams: LlamaHparams;
  context: ContextParams;
  placement: Pick<Placement, 'layers'>;
  rules: LlamaRules;
}): OutputBuffer {
  const { model, hparams, context, placement, rules } = input;
  const instead = (rules as unknown as OutputRules)['output.embeddings'] === 'instead';
  const encodes = hparams.architecture === 't5';
  const pooled = Number(model.metadata.pooling_type ?? 0) > 0;
  const logits = encodes || !(instead && context.embeddings);
  const embeddings = encodes || (context.embeddings && !(instead && pooled));
  const width = Number(model.metadata.embedding_length_out ?? hparams.embd);
  const row = (logits ? hparams.vocab : 0) + (embeddings ? width : 0);
  const onGpu = placement.layers[hparams.layers] !== 'cpu';
  return { bytes: row * context.nSeqMax * float, place: onGpu ? 'pinned' : 'cpu' };
}

export interface ContextOverhead {
  bytes: number;
  low: number;
  high: number;
}

/** What a process takes on each GPU beside its buffers: an estimate from published figures, in bytes. */
export function contextOverhead(rules: LlamaRules): ContextOverhead {
  const { typical, low, high } = (rules as unknown as OutputRules)['context.overheadMiB'];
  return { bytes: typical * MiB, low: low * MiB, high: high * MiB };
}
