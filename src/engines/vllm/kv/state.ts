// State layers (Mamba, gated delta nets, short convolutions) in the KV cache: which types their states have, how many states a
// request holds, which of them a release can write in the middle of a prefill. Shapes are in accounting/state.ts. Source:
// vllm/model_executor/layers/mamba, model_executor/models/config.py, v1/kv_cache_interface.py MambaSpec, 0.9 to 0.33.
import { type StateKind, statePageBytes, stateSplits, stateTensors } from '../../../accounting/state.ts';
import type { StateLayout } from '../../../architecture/types.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import type { Bytes } from '../../../units.ts';
import type { ResolvedOptions } from '../resolved.ts';
import { elementBytes } from './pages.ts';
import type { KvProfile, StatesPerRequest } from './types.ts';

export interface StateInput {
  model: ModelSpec;
  gpu: GpuSpec;
  options: ResolvedOptions;
  profile: KvProfile;
}

/** What the release says where the ranks cannot share a state; undefined where they can. */
export function stateRefusal(layout: StateLayout, tp: number): string | undefined {
  if (stateSplits(layout, tp)) return undefined;
  if (layout.type === 'mamba2') {
    return layout.heads % tp === 0
      ? 'AssertionError: If tensor parallel world size does not divide num_groups, then num_groups must equal 1.'
      : 'AssertionError: Tensor parallel world size must divide num heads.';
  }
  return `AssertionError: ${dividedSize(layout)} is not divisible by ${tp}`;
}

function dividedSize(layout: StateLayout): number {
  switch (layout.type) {
    case 'mamba1':
      return layout.inner;
    case 'gdn':
      return 2 * layout.keyHeads * layout.keyDim + layout.valueHeads * layout.valueDim;
    case 'short-conv':
      return layout.dim;
    default:
      return layout.heads;
  }
}

/** Bytes of the states of one layer on one rank. */
export function stateBytes(layout: StateLayout, input: StateInput): Bytes {
  const { options, profile } = input;
  const convDtype = convolutionDtype(input);
  return statePageBytes(layout, {
    tensorParallelSize: options.tensorParallelSize,
    speculativeTokens: options.speculativeTokens,
    speculationLengthens: profile['kv.speculationLengthens'] as readonly StateKind[],
    convBytes: elementBytes(convDtype, options.dtype),
    ssmBytes: elementBytes(scanDtype(layout, convDtype, input), options.dtype),
  });
}

/** What tells two state layouts apart in the spec. */
export function stateVariant(layout: StateLayout, { options }: StateInput): string {
  const tensors = stateTensors(layout, { tensorParallelSize: options.tensorParallelSize });
  return `${layout.type}:${tensors.map(({ shape }) => shape.join('x')).join(',')}`;
}

/** --mamba-cache-dtype; auto is the model's type (0.10.0: the type of the KV cache). */
function convolutionDtype({ options, profile }: StateInput): string {
  const asked = options.mambaCacheDtype ?? 'auto';
  if (asked !== 'auto') return asked;
  return profile['kv.convolutionDtype'] === 'cache' ? options.kvCacheDtype : options.dtype;
}

/**
 * --mamba-ssm-cache-dtype; auto is the convolution's type, except where the model says otherwise: KDA keeps float32,
 * Nemotron-H and Qwen3.5 name a type in their configuration, and Nemotron-H has a default that changed.
 */
function scanDtype(layout: StateLayout, convDtype: string, { model, options, profile }: StateInput): string {
  if (layout.type === 'linear' || layout.type === 'short-conv') return convDtype;
  const asked = options.mambaSsmCacheDtype ?? 'auto';
  if (layout.type === 'kda') return asked === 'auto' ? 'float32' : asked;
  if (layout.type === 'gdn' && !profile['kv.deltaNetScanDtype']) return convDtype;
  if (asked !== 'auto') return asked;
  const { config } = model;
  if (/^NemotronH/.test(model.architecture) && profile['kv.nemotronScanDtype'] !== 'convolution') {
    const stated = config.mambaSsmCacheDtype;
    return typeof stated === 'string' ? stated : profile['kv.nemotronScanDtype'];
  }
  if (layout.type === 'gdn' && typeof config.mambaSsmDtype === 'string') return config.mambaSsmDtype;
  return convDtype;
}

/** Blocks of state a request holds at most. */
export function statesPerRequest(layout: StateLayout, input: StateInput): StatesPerRequest {
  const { options, profile } = input;
  const drafts = options.speculativeTokens;
  switch (profile['kv.statePages']) {
    case 'one':
      return { fixed: 1 };
    case 'byBlock':
      return { perBlock: true, extra: 0 };
    case 'byMode':
    case 'byModeAndDrafts': {
      if (options.mambaCacheMode === 'none') return { fixed: 1 + drafts };
      if (options.mambaCacheMode === 'align') return { fixed: 2 + drafts + (checkpoint(layout, input) ? 1 : 0) };
      return { perBlock: true, extra: profile['kv.statePages'] === 'byMode' ? 0 : drafts };
    }
  }
}

/** One more block for the state that a prefill writes at a block boundary without being split (0.29 and later). */
export function checkpoint(layout: StateLayout, input: StateInput): { alignment: number } | undefined {
  const rule = profileCheckpoint(layout, input);
  if (!rule || input.options.mambaCacheMode !== 'align') return undefined;
  return { alignment: rule.alignment ?? 1 };
}

function profileCheckpoint(
  layout: StateLayout,
  { model, gpu, profile }: StateInput,
): { alignment?: number } | undefined {
  const rule = profile['kv.prefillCheckpoints']?.[layout.type];
  if (!rule) return undefined;
  const major = Math.floor(Number(gpu.computeCapability ?? 0));
  if (rule.capabilities && !rule.capabilities.includes(major)) return undefined;
  if (rule.headDim !== undefined && major > 9 && stateHeadDim(layout) !== rule.headDim) return undefined;
  if (rule.boundedGate && !hasBoundedGate(model)) return undefined;
  return rule;
}

function stateHeadDim(layout: StateLayout): number | undefined {
  if (layout.type === 'gdn') return layout.keyDim;
  return layout.type === 'kda' ? layout.headDim : undefined;
}

/** Kimi-K3's decay is bounded from below, Kimi-Linear's is not. */
function hasBoundedGate({ config }: ModelSpec): boolean {
  const linear = config.linearAttnConfig;
  return typeof linear === 'object' && linear !== null && !Array.isArray(linear) && 'gateLowerBound' in linear;
}
