// Models whose layers are partly attention and partly Mamba-2, or both at once. Law: src/models/falcon-h1.cpp, granite-hybrid.cpp,
// nemotron-h.cpp.
import { attention, type CacheInputs, cacheInputs } from './attention.ts';
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  norm,
  outputHead,
  outputLogits,
  qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { normalizes, scales } from './experts.ts';
import { mamba2Layer } from './mamba2.ts';
import { mixture } from './mixture.ts';
import { type StateInputs, stateInputs } from './recurrent.ts';
import { listed } from './recurrent-rules.ts';
import { type At, ropeFactors, rotated, states } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** build_inp_mem_hybrid. */
export interface HybridInputs {
  state: StateInputs;
  attention: CacheInputs;
}

export function hybridInputs(b: Build): HybridInputs {
  const state = stateInputs(b);
  return { state, attention: cacheInputs(b)! };
}

/** The rows that are output; where drafting models read the normed rows of all tokens, they are taken after the norm. */
export function gatherUndrafted(b: Build, at: { layer: number; outputs?: GraphTensor }, ...rows: GraphTensor[]) {
  return listed(b, 'recurrent.draftable') ? rows : gatherOutputs(b, at.outputs, at.layer, ...rows);
}

export function draftableHead(b: Build, x: GraphTensor, outputs: GraphTensor | undefined): void {
  if (!listed(b, 'recurrent.draftable')) {
    outputHead(b, x);
    return;
  }
  const normed = norm(b, x, { weight: b.weight('output_norm.weight'), layer: -1 });
  normed.output = true;
  outputLogits(b, outputs ? b.getRows(normed, outputs) : normed);
}

const falconH1: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const positions = inputPositions(b);
  const inputs = hybridInputs(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const at = { b, layer, positions };
    const projected = rotated(at, qkv(b, layerNorm(b, x, layer, 'attn_norm'), layer));
    const attended = attention(b, { inputs: inputs.attention, layer, ...projected });
    const scanned = mamba2Layer(b, inputs.state, layerNorm(b, x, layer, 'attn_norm'), layer);
    const both = b.add(attended, scanned);
    const rows = gatherOutputs(b, outputs, layer, both, b.add(both, x));
    const sum = rows[1]!;
    // The file's name for this norm has no suffix.
    const network = norm(b, sum, { weight: b.layerWeight(layer, 'ffn_norm'), layer });
    x = b.add(ffn(b, network, { layer, activation: 'silu' }), sum);
  }
  outputHead(b, x);
};

const graniteHybrid: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  if (states(b, 'embedding_scale')) {
    x = b.scale(x);
    if (b.rules.embeddingInput) b.expand(x);
  }
  const inputs = hybridInputs(b);
  const outputs = inputOutputIds(b);
  const rotates = b.input.model.metadata['rope.scaling.finetuned'] !== false;
  const positions = inputPositions(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const normed = layerNorm(b, x, layer, 'attn_norm');
    const at = { b, layer, positions };
    const t = b.hp.recurrent[layer]
      ? mamba2Layer(b, inputs.state, normed, layer)
      : graniteAttention(at, normed, inputs.attention, rotates);
    const [rows, residual] = gatherOutputs(b, outputs, layer, t, x) as [GraphTensor, GraphTensor];
    const sum = b.add(residualScaled(b, rows), residual);
    const network = layerNorm(b, sum, layer, 'ffn_norm');
    x = b.add(residualScaled(b, graniteNetwork(b, network, layer)), sum);
  }
  outputHead(b, x, 'rms', { finish: (_, logits) => (states(b, 'logit_scale') ? b.scale(logits) : logits) });
};

const residualScaled = (b: Build, x: GraphTensor): GraphTensor => (states(b, 'residual_scale') ? b.scale(x) : x);

function graniteAttention(at: At, x: GraphTensor, inputs: CacheInputs, rotates: boolean): GraphTensor {
  const { b, layer } = at;
  const projected = qkv(b, x, layer);
  return attention(b, { inputs, layer, ...(rotates ? rotated(at, projected, ropeFactors(at)) : projected) });
}

function graniteNetwork(b: Build, x: GraphTensor, layer: number): GraphTensor {
  if (!b.layerOptional(layer, 'ffn_gate_inp.weight')) return ffn(b, x, { layer, activation: 'silu' });
  const mixed = mixture(b, x, { layer, gating: 'softmax', normalize: true, scaled: scales(b) });
  if (!b.layerOptional(layer, 'ffn_up_shexp.weight')) return mixed;
  return b.add(mixed, ffn(b, x, { layer, activation: 'silu', ...sharedExpert }));
}

/** Names of a shared expert's weights. */
export const sharedExpert = { up: 'ffn_up_shexp', gate: 'ffn_gate_shexp', down: 'ffn_down_shexp' } as const;

const nemotronH: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  b.expand(x);
  const inputs = hybridInputs(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers - b.hp.nextnLayers; layer++) {
    const t = nemotronLayer(b, layerNorm(b, x, layer, 'attn_norm'), layer, inputs);
    const [rows, residual] = gatherUndrafted(b, { layer, outputs }, t, x) as [GraphTensor, GraphTensor];
    x = b.add(rows, residual);
  }
  draftableHead(b, x, outputs);
};

function nemotronLayer(b: Build, x: GraphTensor, layer: number, inputs: HybridInputs): GraphTensor {
  if (b.hp.recurrent[layer]) return mamba2Layer(b, inputs.state, x, layer);
  if (b.hp.feedForward[layer] === 0) return attention(b, { inputs: inputs.attention, layer, ...qkv(b, x, layer) });
  if (!b.layerOptional(layer, 'ffn_gate_inp.weight')) return ffn(b, x, { layer, activation: 'relu_sqr' });
  return nemotronExperts(b, x, layer);
}

/** Experts that may work in a smaller space than the rest of the model. */
function nemotronExperts(b: Build, x: GraphTensor, layer: number): GraphTensor {
  const narrow = b.layerOptional(layer, 'ffn_latent_down.weight');
  const input = narrow ? b.mulMat(narrow, x) : x;
  const scores = b.mulMat(b.layerWeight(layer, 'ffn_gate_inp.weight'), x);
  let mixed = mixture(b, input, {
    layer,
    gating: 'sigmoid',
    activation: 'relu_sqr',
    normalize: normalizes(b),
    scaled: scales(b),
    scores,
  });
  const wide = b.layerOptional(layer, 'ffn_latent_up.weight');
  if (wide) mixed = b.mulMat(wide, mixed);
  return b.add(mixed, ffn(b, x, { layer, activation: 'relu_sqr', ...sharedExpert }));
}

export const hybridBuilders: Readonly<Record<string, GraphBuilder>> = {
  'falcon-h1': falconH1,
  granitehybrid: graniteHybrid,
  nemotron_h: nemotronH,
  nemotron_h_moe: nemotronH,
};
