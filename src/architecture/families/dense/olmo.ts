// OLMo 1 (norms without weights), OLMo 2 (norms after attention and MLP, full-width norms of q and k) and OLMo 3, which adds
// window layers whose rotary table is not stretched. vllm/model_executor/models/{olmo,olmo2}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, rotaryOf } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { type DecoderTraits, decoder } from './decoder.ts';
import type { TextOptions } from './parts.ts';
import { interleavedWindows } from './windows.ts';

const postNorms: DecoderTraits = {
  tied: false,
  qkNorm: 'full',
  norms: ['post_attention_layernorm', 'post_feedforward_layernorm'],
};

export function olmo(spec: ModelSpec, options?: TextOptions): Architecture {
  const bias = spec.config.attentionBias === true;
  return decoder(spec, options, { tied: false, qkvBias: bias, outBias: bias, norms: [], finalNorm: false });
}

export function olmo2(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(spec, options, postNorms);
}

/** Of every four layers the last is full; only full layers scale their rotary embedding (olmo2.py, Olmo2Attention). */
export function olmo3(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const windows = interleavedWindows(config, { period: 4, window: 4096 });
  const [full] = rotaryOf(config, attentionSizes(config).headDim);
  const theta = config.rope?.theta;
  const plain = { ...full!, rope: { type: 'default', ...(theta === undefined ? {} : { theta }) } };
  const type = config.rope?.type ?? 'default';
  return decoder(spec, options, { ...postNorms, windows, rotary: type === 'default' ? [full!] : [plain, full!] });
}
