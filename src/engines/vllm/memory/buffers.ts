// Buffers that the model runner keeps from its construction on, outside the weight figure: block tables, input embeddings,
// the second runner's sampling state. Paid out of total x (1 - utilization) up to 0.26, charged to the budget from 0.27.
import { divCeil, KiB } from '../../../units.ts';
import { dtypeBytes } from '../resolved.ts';
import { allocated } from './blocks.ts';
import type { Amount, MemoryInput } from './types.ts';

/**
 * First runner: dtype x tokens x hidden of inputs_embeds (0.16+) and rows x blocks x 4 of the block table. Second runner, last
 * stage: penalty counts 4 x rows x vocabulary, two token masks of rows x vocabulary / 32 x 4, tables of 17 KiB a row.
 * vLLM v1/worker/gpu_input_batch.py, v1/worker/gpu/sample/penalties.py, v1/worker/gpu/structured_outputs.py.
 */
export function runnerBuffers(input: MemoryInput): Amount {
  const { architecture, options, profile, place } = input;
  const source = 'vllm/v1/worker/gpu_model_runner.py, vllm/v1/worker/gpu/sample/penalties.py';
  if (options.engine === 'v0') {
    return { bytes: 0, lowBytes: 0, highBytes: 0, formula: 'none in V0', source, confidence: 'derived' };
  }
  const { hiddenSize, vocabSize } = architecture.forward;
  const rows = options.maxNumSeqs;
  const positions = 16 * options.maxNumBatchedTokens;
  let bytes = positions;
  if (options.runner === 'v1') {
    const blockSize = options.blockSize ?? 16;
    bytes += rows * divCeil(options.maxModelLen, blockSize) * 4;
    if (profile['memory.inputsEmbeds']) bytes += dtypeBytes[options.dtype] * options.maxNumBatchedTokens * hiddenSize;
  } else if (place.stage === options.pipelineParallelSize - 1) {
    bytes += allocated(profile['memory.samplerStatePerLogit'] * rows * vocabSize);
    bytes += profile['memory.samplerStatePerRowKib'] * KiB * rows;
  }
  return {
    bytes: Math.round(bytes),
    lowBytes: Math.round(bytes),
    highBytes: Math.round(bytes),
    formula:
      options.runner === 'v1'
        ? 'inputs_embeds + block table + positions'
        : `${profile['memory.samplerStatePerLogit']} x max_num_seqs x vocabulary + ${profile['memory.samplerStatePerRowKib']} KiB x max_num_seqs + positions`,
    source,
    confidence: 'derived',
  };
}
