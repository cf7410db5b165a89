// Cohere Command-R, Aya (cohere) and Command-R7B, Command-A (cohere2): attention and MLP in parallel behind one norm without
// bias, head always tied. vllm/model_executor/models/commandr.py.
import type { ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { type DecoderTraits, decoder } from './decoder.ts';
import type { TextOptions } from './parts.ts';
import { interleavedWindows } from './windows.ts';

const traits: DecoderTraits = { tied: true, norms: ['input_layernorm'] };

export function cohere(spec: ModelSpec, options?: TextOptions): Architecture {
  const bias = spec.config.attentionBias === true;
  const qkNorm = spec.config.useQkNorm === true ? { qkNorm: 'rows' as const } : {};
  return decoder(spec, options, { ...traits, ...qkNorm, qkvBias: bias, outBias: bias });
}

/** Of every four layers the last is full. A window layer sees the window and the token itself (commandr.py). */
export function cohere2(spec: ModelSpec, options?: TextOptions): Architecture {
  const bias = spec.config.attentionBias === true;
  return decoder(spec, options, {
    ...traits,
    qkvBias: bias,
    outBias: bias,
    windows: interleavedWindows(spec.config, { period: 4, window: 4096 }),
    inclusiveWindow: true,
  });
}
