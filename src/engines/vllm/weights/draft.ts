// What speculation adds to a rank: the target's own multi-token-prediction layers, or a draft model of its own. Law: vLLM
// v1/spec_decode/ (llm_base_proposer.py): the drafter runs on the last pipeline stage; what it shares with the target
// depends on the method.
import type { Architecture, RotaryTable } from '../../../architecture/types.ts';
import { dtypeBytes } from '../resolved.ts';
import type { ModulePlan } from './modules.ts';
import type { WeightRules } from './rules.ts';
import type { DeviceTensor, WeightsInput } from './types.ts';

/** Does the release draft with layers of the target's own checkpoint? */
export function draftsWithOwnLayers({ options }: WeightsInput): boolean {
  const { method, model } = options.speculativeConfig ?? {};
  return typeof method === 'string' && /(^|_)mtp$/.test(method) && model === undefined;
}

/**
 * A class of hyper-connections keeps the residual streams of a batch for its prediction layers: batched tokens x streams x
 * hidden size. models/deepseek_v4/ (deepseek_v4.py) _mtp_hidden_buffer: always, on the last stage, or only while drafting.
 */
export function draftResiduals(input: WeightsInput, { lastStage }: ModulePlan): DeviceTensor[] {
  const { options, spec } = input;
  const when = (input.profile as Partial<WeightRules>)['weights.draftResiduals']?.[spec.architecture];
  const method = String(options.speculativeConfig?.method ?? '');
  const drafts = /^eagle|mtp$/.test(method) || (input.draft !== undefined && method !== 'medusa');
  if (!when || (when !== 'every-stage' && !lastStage) || (when === 'drafting' && !drafts)) return [];
  const streams = typeof spec.config.hcMult === 'number' ? spec.config.hcMult : 1;
  const bytes = options.maxNumBatchedTokens * streams * spec.config.hiddenSize * dtypeBytes[options.dtype];
  return [{ name: 'residual streams', bytes, part: 'buffers' }];
}

/** The drafter's input for the same rank, with its own model in the target's place; undefined without a draft model. */
export function draftInput(input: WeightsInput, plan: ModulePlan): WeightsInput | undefined {
  if (!input.draft || !plan.lastStage) return undefined;
  const { draft, ...target } = input;
  const size = input.options.speculativeConfig?.draft_tensor_parallel_size;
  return {
    ...target,
    spec: draft.spec,
    architecture: withoutSharedTables(draft.architecture, input.architecture),
    scheme: draft.scheme,
    options: {
      ...input.options,
      speculativeConfig: undefined,
      pipelineParallelSize: 1,
      ...(typeof size === 'number' ? { tensorParallelSize: size } : {}),
    },
    place: { ...input.place, stage: 0 },
  };
}

/** One rotary table for each distinct configuration of the process (rotary_embedding/__init__.py get_rope). */
function withoutSharedTables(draft: Architecture, target: Architecture): Architecture {
  const key = ({ dim, positions, rope }: RotaryTable): string => JSON.stringify([dim, positions, rope]);
  const held = new Set(target.rotary.map(key));
  return { ...draft, rotary: draft.rotary.filter((table) => !held.has(key(table))) };
}

/**
 * The drafter's tensors as part of the target's rank. EAGLE heads and MTP layers use the target's embedding where one stage holds
 * both; the target's head serves MTP layers and EAGLE, while EAGLE-3 loads a head of its own.
 */
export function draftTensors(tensors: readonly DeviceTensor[], input: WeightsInput): DeviceTensor[] {
  const method = String(input.options.speculativeConfig?.method ?? '');
  const isEagle = method.startsWith('eagle');
  const isMtp = method.endsWith('mtp');
  const shared = new Set([
    ...(isMtp || (isEagle && input.options.pipelineParallelSize === 1) ? ['embedding'] : []),
    ...(isMtp || method === 'eagle' ? ['lm_head'] : []),
  ]);
  return tensors
    .filter((tensor) => !shared.has(tensor.part))
    .map((tensor) => ({ ...tensor, name: `draft ${tensor.name}`, part: 'draft' }));
}
