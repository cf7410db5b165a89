// The parts that most architectures share: embeddings, norms, projections to Q, K and V, feed-forward networks, and the output.
// The order of nodes is that of llama.cpp's, on which the allocator's result depends. Law: src/llama-graph.cpp.
import type { Build } from './build.ts';
import type { GraphTensor } from './tensor.ts';

export type NormKind = 'rms' | 'layer';

/**
 * Embeddings of the batch's tokens (build_inp_embd). With `deepstack` a row has room for as many further embeddings, and only its
 * front is shown.
 */
export function inputEmbeddings(b: Build, deepstack = 0): GraphTensor {
  const { tokens } = b.batch;
  const { embd } = b.hp;
  const ids = b.inputTensor('i32', tokens);
  const given = b.inputTensor('f32', embd * (1 + deepstack), tokens);
  let embeddings = b.getRows(b.weight('token_embd.weight'), ids);
  if (deepstack > 0) embeddings = b.pad(embeddings, embd * deepstack);
  if (b.rules.embeddingInput) {
    b.expand(embeddings);
    b.expand(given);
  }
  return deepstack > 0 ? b.view(embeddings, { ne: [embd, tokens], nb: [embeddings.nb[1]] }) : embeddings;
}

/** Positions; four a token with sections (build_inp_pos). */
export function inputPositions(b: Build): GraphTensor {
  return b.inputTensor('i32', b.batch.tokens * (b.hp.mrope ? 4 : 1));
}

/** Which rows are output (build_inp_out_ids). */
export function inputOutputIds(b: Build): GraphTensor | undefined {
  if (b.rules.outputIds === 'fewer' && b.batch.outputs >= b.batch.tokens) return undefined;
  return b.inputTensor('i32', b.batch.outputs);
}

export interface NormParts {
  weight?: GraphTensor;
  bias?: GraphTensor;
  kind?: NormKind;
  /** -1: of no layer. */
  layer: number;
}

/** build_norm. */
export function norm(b: Build, x: GraphTensor, { weight, bias, kind = 'rms', layer }: NormParts): GraphTensor {
  let t = kind === 'rms' ? b.rmsNorm(x) : b.norm(x);
  if (weight || bias) b.pinToLayer(t, layer);
  if (weight) t = b.mul(t, weight);
  if (bias) t = b.add(t, bias);
  return t;
}

/** A norm whose weight and bias are blk.<layer>.<name>. */
export function layerNorm(b: Build, x: GraphTensor, layer: number, name: string, kind: NormKind = 'rms'): GraphTensor {
  return norm(b, x, {
    weight: b.layerOptional(layer, `${name}.weight`),
    bias: b.layerOptional(layer, `${name}.bias`),
    kind,
    layer,
  });
}

/** A product with its weight's bias and scale, where the model has them (build_lora_mm and what follows it). */
export function linear(b: Build, layer: number, name: string, x: GraphTensor): GraphTensor {
  let t = b.mulMat(b.layerWeight(layer, `${name}.weight`), x);
  const scale = b.layerOptional(layer, `${name}.scale`);
  if (scale) t = b.mul(t, scale);
  const bias = b.layerOptional(layer, `${name}.bias`);
  return bias ? b.add(t, bias) : t;
}

export interface Qkv {
  q: GraphTensor;
  k: GraphTensor;
  v: GraphTensor;
}

/** Q, K and V of a layer, each head size x heads x tokens (build_qkv). */
export function qkv(b: Build, x: GraphTensor, layer: number): Qkv {
  const { tokens } = b.batch;
  const [heads, kvHeads] = [b.hp.heads[layer]!, b.hp.kvHeads[layer]!];
  const [key, value] = [b.hp.keyLength[layer]!, b.hp.valueLength[layer]!];
  const bound = b.input.model.metadata['attention.clamp_kqv'];
  const clamped = (t: GraphTensor) => (typeof bound === 'number' && bound > 0 ? b.clamp(t) : t);
  if (b.layerOptional(layer, 'attn_qkv.weight')) {
    const fused = clamped(linear(b, layer, 'attn_qkv', x));
    const copies = b.input.rules['dense.fusedProjections'] === 'copies';
    const part = (size: number, n: number, from: number) => {
      const [nb1, offset] = [fused.nb[1], b.rowSize(fused.type, from)];
      if (copies)
        return b.reshape(b.cont(b.view(fused, { ne: [size * n, tokens], nb: [nb1], offset })), size, n, tokens);
      return b.view(fused, { ne: [size, n, tokens], nb: [b.rowSize(fused.type, size), nb1], offset });
    };
    const q = part(key, heads, 0);
    const k = part(key, kvHeads, key * heads);
    return { q, k, v: part(value, kvHeads, key * (heads + kvHeads)) };
  }
  const q = clamped(linear(b, layer, 'attn_q', x));
  const k = clamped(linear(b, layer, 'attn_k', x));
  const v = clamped(linear(b, layer, 'attn_v', x));
  return {
    q: b.reshape(q, key, heads, tokens),
    k: b.reshape(k, key, kvHeads, tokens),
    v: b.reshape(v, value, kvHeads, tokens),
  };
}

/** An activation by name, or what is done to up and gate. */
export type Activation = NamedActivation | ((b: Build, up: GraphTensor, gate: GraphTensor) => GraphTensor);
type NamedActivation = 'silu' | 'gelu' | 'relu' | 'relu_sqr' | 'swiglu' | 'geglu';

const fusedGates: Readonly<Record<string, string>> = { silu: 'swiglu', gelu: 'geglu', relu: 'reglu' };

export interface FfnParts {
  layer: number;
  activation: Activation;
  /** Names of the weights; null: the caller multiplies. */
  up?: string;
  gate?: string;
  down?: string | null;
}

/** A feed-forward network with a parallel gate where the model has one (build_ffn). */
export function ffn(b: Build, x: GraphTensor, parts: FfnParts): GraphTensor {
  const { layer, activation, up = 'ffn_up', gate = 'ffn_gate', down = 'ffn_down' } = parts;
  const grown = biasedThenScaled(b, layer, up, x);
  const gated = b.layerOptional(layer, `${gate}.weight`) ? biasedThenScaled(b, layer, gate, x) : undefined;
  const inner = activate(b, activation, grown, gated);
  return down === null ? inner : biasedThenScaled(b, layer, down, inner);
}

/** Within a feed-forward network the bias comes before the scale. */
function biasedThenScaled(b: Build, layer: number, name: string, x: GraphTensor): GraphTensor {
  let t = b.mulMat(b.layerWeight(layer, `${name}.weight`), x);
  const bias = b.layerOptional(layer, `${name}.bias`);
  if (bias) t = b.add(t, bias);
  const scale = b.layerOptional(layer, `${name}.scale`);
  return scale ? b.mul(t, scale) : t;
}

/** The activation of one operand, or of gate and up. */
export function activate(b: Build, activation: Activation, up: GraphTensor, gate?: GraphTensor): GraphTensor {
  if (typeof activation === 'function') return activation(b, up, gate!);
  switch (activation) {
    case 'swiglu':
    case 'geglu':
      return b.rules.fusedGates ? b.glu(activation, up) : halvesMultiplied(b, activation, up);
    case 'relu_sqr':
      return b.sqr(b.unary('relu', up));
    default:
      if (!gate) return b.unary(activation, up);
      if (b.rules.fusedGates) return b.glu(fusedGates[activation]!, gate, up);
      return b.mul(b.unary(activation, gate), up);
  }
}

/** Gate and up in one row, before an operation took both. */
function halvesMultiplied(b: Build, activation: 'swiglu' | 'geglu', both: GraphTensor): GraphTensor {
  const half = both.ne[0] / 2;
  const part = (offset: number) => b.cont(b.view(both, { ne: [half, both.ne[1]], nb: [both.nb[1]], offset }));
  const gate = part(0);
  const up = part(half * both.nb[0]);
  return b.mul(b.unary(activation === 'swiglu' ? 'silu' : 'gelu', gate), up);
}

/** The rows that are output, of the last layer's attention and residual; nothing happens in earlier layers. */
export function gatherOutputs(
  b: Build,
  ids: GraphTensor | undefined,
  layer: number,
  ...rows: GraphTensor[]
): GraphTensor[] {
  if (!ids || layer !== b.hp.layers - b.hp.nextnLayers - 1) return rows;
  return rows.map((t) => b.getRows(t, ids));
}

export interface HeadParts {
  /** What an architecture does to the logits, e.g. scale them. */
  finish?(b: Build, logits: GraphTensor): GraphTensor;
  /** Rows between the norm and the logits. */
  beforeOutput?(b: Build, normed: GraphTensor): GraphTensor;
  /** In place of the output matrix. */
  outputs?: GraphTensor;
  /** Rows of the normed result that go on; drafting models read all of them. */
  normedRows?: GraphTensor;
}

/** The final norm and the logits; both are outputs of the graph (llm_graph_result::set_outputs). */
export function outputHead(b: Build, x: GraphTensor, kind: NormKind = 'rms', parts: HeadParts = {}): void {
  let normed = norm(b, x, {
    weight: b.optional('output_norm.weight'),
    bias: b.optional('output_norm.bias'),
    kind,
    layer: -1,
  });
  if (parts.normedRows) {
    normed.output = true;
    normed = b.getRows(normed, parts.normedRows);
  }
  outputLogits(b, normed, parts);
}

/** The logits of rows that are normed already. */
export function outputLogits(b: Build, normed: GraphTensor, parts: HeadParts = {}): void {
  const rows = parts.beforeOutput?.(b, normed) ?? normed;
  let logits = b.mulMat(parts.outputs ?? b.outputWeight(), rows);
  const bias = b.optional('output.bias');
  if (bias) logits = b.add(logits, bias);
  if (parts.finish) logits = parts.finish(b, logits);
  normed.output = b.rules.marksOutputs;
  b.embedded = normed;
  logits.output = b.rules.marksOutputs;
  b.expand(logits);
}
