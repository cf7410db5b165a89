// The activation peak of the profile run: sampler or forward pass, whichever is larger, and what stays beside them. Read off
// the profile run of 27 releases; nothing here is fitted to a log. vLLM v1/worker/gpu_model_runner.py profile_run,
// v1/worker/gpu/model_runner.py, v1/sample; V0: worker/model_runner.py profile_run.
import { alignUp, divFloor, MiB, sum } from '../../../units.ts';
import { traitsOf } from '../defaults/traits.ts';
import { dtypeBytes } from '../resolved.ts';
import { allocated } from './blocks.ts';
import { encoderBytes, profiledEncoder } from './encoder.ts';
import { expertWorkspaceBytes } from './experts.ts';
import { forwardBytes } from './forward.ts';
import type { SamplerRule } from './rules.ts';
import type { MemoryInput, PeakTerms } from './types.ts';

/** peak = max(max(sampler, forward) + expert workspace + encoder, forward of the encoder) + cuBLAS workspace. */
export function activationPeak(input: MemoryInput): PeakTerms {
  const { options, profile, place } = input;
  const workspace = profile['memory.moeWorkspaceKept'] && options.engine === 'v1' ? expertWorkspaceBytes(input) : 0;
  const rule = samplerRule(input);
  const later = place.stage > 0 ? 2 * hiddenStates(input) : 0;
  const scratch = rule?.scratch ? scratchBytes(input) : 0;
  const sampler = rule ? samplerBytes(input, rule) + scratch + later : 0;
  const forward = forwardBytes(input) + later;
  const cublas = profile['memory.cublasInBaseline'] ? 0 : cublasWorkspaceBytes(input);
  const { kept: encoder, forward: encoderForward } = encoderBytes(input);
  return {
    sampler,
    forward,
    cublas,
    workspace,
    scratch,
    encoder,
    total: Math.max(Math.max(sampler, forward) + workspace + encoder, encoderForward) + cublas,
    kept: cublas + workspace + scratch,
  };
}

/** Sequences that the dummy sampler run has; V0 gives every dummy sequence of a multimodal model a whole item. */
function profiledRows(input: MemoryInput): number {
  const { options } = input;
  const rows = Math.min(options.maxNumSeqs, options.maxNumBatchedTokens);
  const encoder = options.engine === 'v0' ? profiledEncoder(input) : undefined;
  return encoder ? Math.min(rows, Math.max(1, divFloor(options.maxNumBatchedTokens, encoder.tokensPerItem))) : rows;
}

/** Only the last pipeline stage samples; in V0 only the driver rank does. Pooling models do not sample. */
function samplerRule(input: MemoryInput): SamplerRule | undefined {
  const { options, profile, place, architecture, spec } = input;
  if (place.stage < options.pipelineParallelSize - 1 || traitsOf(spec, architecture, false).pooling) return undefined;
  if (options.engine === 'v0') return place.tensorRank === 0 ? profile['memory.samplerV0'] : undefined;
  if (options.runner === 'v2') return profile['memory.samplerSecondRunner'];
  if (options.speculativeTokens > 0 && profile['memory.samplerSpeculative'])
    return profile['memory.samplerSpeculative'];
  const flashInfer = profile['memory.samplerFlashInfer'];
  if (flashInfer && input.gpu.vendor === 'nvidia' && usesFlashInfer(input)) return flashInfer;
  return profile['memory.sampler'];
}

function usesFlashInfer({ options, profile }: MemoryInput): boolean {
  const asked = options.env?.VLLM_USE_FLASHINFER_SAMPLER;
  return asked === undefined ? profile['memory.flashInferSamplerAssumed'] : asked === '1';
}

/**
 * dtype x tokens x hidden + states x dtype x rows x hidden + the logits tensors + the padding of the gathered logits. Logits
 * are gathered before sampling, so nothing is divided by tensor parallelism.
 */
function samplerBytes(input: MemoryInput, rule: SamplerRule): number {
  const { architecture, options } = input;
  const { hiddenSize, vocabSize } = architecture.forward;
  const element = dtypeBytes[options.dtype];
  const rows = profiledRows(input);
  const perLogit =
    rule.fewRowsLogits && rows < (rule.fewRows ?? 0)
      ? rule.fewRowsLogits
      : options.dtype === 'float32' && rule.float32Logits
        ? rule.float32Logits
        : rule.logits;
  const logits = perLogit.map((bytes) => allocated(bytes * rows * vocabSize));
  const states = rule.rowStates * allocated(element * rows * hiddenSize);
  const padding = element * rows * (alignUp(vocabSize, 64) - vocabSize);
  return (rule.tokenStates ? hiddenStates(input) : 0) + states + sum(logits) + padding;
}

function hiddenStates({ architecture, options }: MemoryInput): number {
  return allocated(dtypeBytes[options.dtype] * options.maxNumBatchedTokens * architecture.forward.hiddenSize);
}

/** min(next power of two of min(SMs, rows), SMs) rows of float32 logits; 8 rows and more. v1/sample/ops/topk_topp_triton.py. */
function scratchBytes(input: MemoryInput): number {
  const processors = input.gpu.multiprocessors ?? 0;
  const rows = profiledRows(input);
  if (rows < 8 || processors === 0) return 0;
  const programs = Math.min(processors, rows);
  const size = Math.min(2 ** Math.ceil(Math.log2(programs)), processors);
  return allocated(size * input.architecture.forward.vocabSize * 4);
}

/**
 * 32 MiB on compute capability 9.0 and 10.x, 8.125 MiB (4096 KiB x 2 + 16 KiB x 8) elsewhere; AMD 32 MiB, 128 on gfx94x. One
 * MiB more for the cublasLt workspace of biased linears. PyTorch aten/src/ATen/cuda/CUDABlas.cpp.
 */
function cublasWorkspaceBytes({ gpu, architecture }: MemoryInput): number {
  if (gpu.vendor === 'amd') return (/^(MI3|AMD Instinct MI3)/.test(gpu.name) ? 128 : 32) * MiB;
  const major = Math.floor(Number(gpu.computeCapability ?? 0));
  const workspace = major === 9 || major === 10 ? 32 * MiB : 8.125 * MiB;
  const biased = architecture.tensors.some((group) => group.role === 'q' && group.name.endsWith('.bias'));
  return workspace + (biased ? MiB : 0);
}
