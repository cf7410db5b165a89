// gpt-oss: layers slide by turns, attention has sinks, every layer is a mixture of experts with biases whose weights are the softmax
// of the chosen scores. Law: src/models/openai-moe.cpp.
import type { GraphBuilder } from './build.ts';
import { gathersLast, oaiSwiglu, routed } from './experts.ts';
import { rotated, serialDecoder } from './serial.ts';

const gptOss: GraphBuilder = (b) =>
  serialDecoder(b, {
    rotate: rotated,
    attend: ({ layer }) => ({ sinks: b.layerWeight(layer, 'attn_sinks.weight') }),
    networkNorm: 'post_attention_norm',
    network: (at, x) =>
      routed(at, x, { gating: 'softmax-weight', activation: oaiSwiglu, normalize: false, scaled: false }),
    gathersLast: gathersLast(b),
  });

export const gptOssBuilders: Readonly<Record<string, GraphBuilder>> = { 'gpt-oss': gptOss };
