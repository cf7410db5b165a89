// Compute buffers of an architecture whose graph is not known, by closed forms of its widest parts: an estimate. The peak lies in
// attention, in the feed-forward part or at the logits; what else is alive then is counted. Source: measured against the exact
// buffers of known architectures; a plain decoder is off by a hundredth, an unusual one by up to a fifth.
import { isQuantized } from '../../spec/ggml-types.ts';
import type { ComputeBuffers, GraphInput } from './types.ts';

const float = 4;
const half = 2;
/** Copies of every input with pipeline parallelism. */
const pipelineCopies = 4;

export function estimateCompute({ hparams, context, placement, caches }: GraphInput): ComputeBuffers {
  const t = Math.min(context.nCtx, context.nUbatch);
  const outputs = Math.min(t, context.nOutputsMax);
  const hidden = float * hparams.embd * t;
  const heads = Math.max(0, ...hparams.heads);
  const kvHeads = Math.max(0, ...hparams.kvHeads);
  const keyLength = Math.max(0, ...hparams.keyLength);
  const queries = float * heads * keyLength * t;
  const masks = caches.reduce(
    (sum, { kind, cells }) => (kind === 'recurrent' ? sum : sum + (context.flashAttn ? half : float) * cells * t),
    0,
  );
  const indices = context.transposedV ? 8 * kvHeads * keyLength * t : 8 * t;
  const copies = (isQuantized(context.typeK) ? 1 : 0) + (isQuantized(context.typeV) ? 1 : 0);
  const widened = context.flashAttn ? copies * half * kvHeads * keyLength * context.nCtxSeq * context.nStream : 0;
  const scores = (float * heads * context.nCtxSeq * t) / context.nStream;
  const attention = 2 * hidden + 2 * queries + (context.flashAttn ? queries + widened : scores);
  const { experts } = hparams;
  const dense = 3 * hidden + 3 * float * Math.max(0, ...hparams.feedForward) * t;
  const routed = experts ? 4 * hidden + float * experts.used * (3 * experts.feedForward + hparams.embd) * t : 0;
  const logits = float * outputs * (hparams.vocab + hparams.embd);
  const gpu = masks + indices + Math.max(attention, experts ? routed : dense, logits);
  const inputs = 4 * t + 2 * hidden + masks + indices + 12 * t + float * outputs;
  const piped = placement.devices > 1 && placement.full && context.offloadKqv;
  return {
    gpus: Array.from({ length: placement.devices }, () =>
      Math.round(gpu + (piped ? (pipelineCopies - 1) * (masks + hidden) : 0)),
    ),
    host: Math.round(piped ? inputs + (pipelineCopies - 1) * masks : inputs),
    nodes: 0,
    splits: 0,
    singleSplits: 0,
    copies: piped ? pipelineCopies : 1,
    confidence: 'estimated',
  };
}
