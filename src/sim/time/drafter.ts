// What proposing draft tokens costs: so many passes of a small model or of one extra layer after every step, one token per sequence
// each. Law: vllm/v1/spec_decode (llm_base_proposer.py, eagle.py 0.9 to 0.33): drafts are proposed one after the other, ngram and suffix
// drafts on the host for nothing.
import { type ForwardWork, forwardWork, type MatrixWork } from '../../accounting/work.ts';
import { expandArchitecture } from '../../architecture/index.ts';
import type { StepTimeInput } from './types.ts';

export interface Drafter {
  forward: ForwardWork;
  /** Forward passes per step, one per draft token. */
  passes: number;
}

export function drafterOf({ draft, options }: StepTimeInput, target: ForwardWork): Drafter | undefined {
  const passes = options.speculativeTokens ?? 0;
  const method = String(options.speculativeConfig?.method ?? '');
  if (passes <= 0 || method === 'ngram' || method.includes('suffix')) return undefined;
  if (!draft) return { forward: oneLayer(target), passes };
  const { dtype, kvCacheDtype, tensorParallelSize } = options;
  const architecture = expandArchitecture(draft.spec);
  return {
    forward: forwardWork({ ...draft, architecture, dtype, kvCacheDtype, tensorParallelSize }),
    passes,
  };
}

/** EAGLE heads and prediction layers are about one layer of the target, with its output head. */
function oneLayer(target: ForwardWork): ForwardWork {
  const share = 1 / target.layers;
  return {
    ...target,
    layers: 1,
    expertLayers: target.expertLayers * share,
    dense: scaled(target.dense, share),
    experts: target.experts.map((group) => ({ ...group, layers: group.layers * share })),
    attention: target.attention.map((group) => ({ ...group, layers: group.layers * share })),
    stateBytes: 0,
    stateParameters: 0,
    elementwiseBytes: target.elementwiseBytes * share,
    kvBytesPerToken: target.kvBytesPerToken * share,
  };
}

function scaled(matrix: MatrixWork, share: number): MatrixWork {
  return {
    bytes: matrix.bytes * share,
    plainParameters: matrix.plainParameters * share,
    quantizedParameters: matrix.quantizedParameters * share,
  };
}
