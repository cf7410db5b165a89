// DeepSeek-V4: keys alone are cached; a layer sees the last tokens, and of the others one cell for every 4 or 128 tokens, of the former
// those that an indexer chooses. Law: src/models/deepseek4.cpp, src/llama-kv-cache-dsv4.cpp, src/llama-graph.cpp (build_inp_dsv4).
import { attend, rotate } from './attention.ts';
import { inputEmbeddings, inputOutputIds, inputPositions, layerNorm, linear, outputHead } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import {
  compress,
  type KeyCache,
  type KeyInputs,
  keyInputs,
  readCells,
  type StateInputs,
  stateInputs,
  storeCells,
  turned,
} from './compressor.ts';
import { routed, shared } from './experts.ts';
import { fusedOperations } from './fused-trials.ts';
import { type Connecting, enterBlock, lastRow, leaveBlock, startRows } from './hyper-connections.ts';
import { type At, runningLayers, stated } from './serial.ts';
import { onlyChosen, perStream, scoresOf } from './sparse.ts';
import type { GraphTensor } from './tensor.ts';

interface Compressing extends KeyInputs {
  states: StateInputs;
}

/** What is one operation. */
interface Fused {
  indexer: boolean;
  connecting: Connecting;
}

function fusedParts(b: Build): Fused {
  const indexed = b.cacheSpec('indexer')!.layers.map(({ layer }) => layer);
  // A block has one around attention and one around its network.
  const twice = Array.from({ length: 2 * runningLayers(b) }, (_, i) => i >> 1);
  const indexing =
    b.input.rules['sparse.fuses'] === 'always' ? [] : [{ op: 'lightning_indexer' as const, layers: indexed }];
  const used = fusedOperations(b, deepseek4, [
    ...indexing,
    { op: 'dsv4_hc_pre', layers: twice },
    { op: 'dsv4_hc_comb', layers: twice },
    { op: 'dsv4_hc_post', layers: twice },
  ]);
  return {
    indexer: used.get('lightning_indexer') ?? true,
    connecting: { pre: used.get('dsv4_hc_pre')!, comb: used.get('dsv4_hc_comb')!, post: used.get('dsv4_hc_post')! },
  };
}

interface Dsv4Inputs {
  fused: Fused;
  window: KeyInputs;
  sparse: Compressing;
  heavy: Compressing;
  indexer: Compressing;
}

const sparseRatio = 4;
const heavyRatio = 128;

function inputsOf(b: Build, fused: Fused): Dsv4Inputs {
  const head = b.hp.keyLength[0]!;
  const full = b.input.caches.filter(({ kind }) => kind === 'full');
  const mask = b.context.flashAttn ? 'f16' : 'f32';
  const compressing = (given: KeyCache) => {
    const inputs = keyInputs(b, given);
    return { ...inputs, states: stateInputs(b, inputs) };
  };
  const overlapping = { ratio: sparseRatio, overlaps: true };
  return {
    fused,
    window: keyInputs(b, { cache: b.cacheSpec('sliding')!, head, mask, ratio: 1 }),
    sparse: compressing({ cache: full[0]!, head, mask, ...overlapping }),
    heavy: compressing({ cache: full[1]!, head, mask, ratio: heavyRatio }),
    indexer: compressing({
      cache: b.cacheSpec('indexer')!,
      head: b.hp.indexer!.keyLength,
      mask: fused.indexer ? 'f16' : 'f32',
      rotates: true,
      ...overlapping,
    }),
  };
}

/** Stores the batch's keys and attends to the window's, and to the layer's compressed ones. */
function attention(at: At, x: GraphTensor, inputs: Dsv4Inputs): GraphTensor {
  const { b, layer, positions } = at;
  const { tokens } = b.batch;
  const [size, heads] = [b.hp.keyLength[layer]!, b.hp.heads[layer]!];
  const ratio = b.hp.compressRatios![layer];
  const short = layerNorm(b, linear(b, layer, 'attn_q_a', x), layer, 'attn_q_a_norm');
  let q = b.reshape(linear(b, layer, 'attn_q_b', short), size, heads, tokens);
  q = turned(b, b.rmsNorm(q), positions);
  const flat = layerNorm(b, linear(b, layer, 'attn_kv', x), layer, 'attn_kv_a_norm');
  let k = turned(b, b.reshape(flat, size, 1, tokens), positions);
  const compressor = { name: 'attn_compressor', layer, x };
  if (ratio === sparseRatio) {
    compress(b, inputs.sparse, inputs.sparse.states, compressor);
    compress(b, inputs.indexer, inputs.indexer.states, { ...compressor, name: 'indexer_compressor' });
  }
  if (ratio === heavyRatio) compress(b, inputs.heavy, inputs.heavy.states, compressor);
  const chosen = ratio === sparseRatio ? chosenCells(at, x, short, inputs) : undefined;
  const { rotation } = inputs.window;
  if (rotation) {
    q = rotate(b, q, rotation);
    k = rotate(b, k, rotation);
  }
  b.expand(q);
  b.expand(k);
  storeCells(b, inputs.window, layer, k);
  const seen = visible(b, inputs, layer, chosen);
  const sinks = b.layerOptional(layer, 'attn_sinks.weight');
  let t = attend(b, { q, k: seen.keys, v: seen.keys, mask: seen.mask, sinks });
  if (rotation) t = rotate(b, t, rotation);
  return projected(at, t);
}

/** The keys of the window and the compressed ones behind them, and which of both a token sees. */
function visible(b: Build, inputs: Dsv4Inputs, layer: number, chosen?: GraphTensor) {
  const window = readCells(b, inputs.window, layer);
  const ratio = b.hp.compressRatios![layer];
  if (!ratio) return { keys: window, mask: inputs.window.mask };
  const further = ratio === sparseRatio ? inputs.sparse : inputs.heavy;
  const cells = readCells(b, further, layer);
  const { ne, nb } = cells;
  const keys = b.concat(window, b.view(cells, { ne, nb: nb.slice(1) }), 2);
  const type = b.context.flashAttn ? 'f16' : 'f32';
  const mask = chosen ? onlyChosen(b, further.mask, chosen, type) : further.mask;
  return { keys, mask: b.concat(inputs.window.mask, mask, 0) };
}

function chosenCells(at: At, x: GraphTensor, short: GraphTensor, { indexer, fused }: Dsv4Inputs): GraphTensor {
  const { b, layer, positions } = at;
  const { heads, keyLength, topK } = b.hp.indexer!;
  const flat = linear(b, layer, 'indexer.attn_q_b', short);
  const heads3 = b.reshape(flat, keyLength, heads, b.batch.tokens);
  const q = rotate(b, turned(b, heads3, positions), indexer.rotation!);
  const weights = b.scale(linear(b, layer, 'indexer.proj', x));
  const cells = readCells(b, indexer, layer);
  const keys = b.view(cells, { ne: cells.ne, nb: cells.nb.slice(1) });
  const shown = perStream(b, { q, weights }, keys.ne[3]);
  const scores = scoresOf(b, { ...shown, k: keys, mask: indexer.mask }, fused.indexer);
  return b.cont(b.topK(scores, Math.min(scores.ne[0], topK)));
}

/** Results are turned back, and pass through a short vector for each group of heads. */
function projected({ b, layer, positions }: At, x: GraphTensor): GraphTensor {
  const { tokens } = b.batch;
  const [size, heads] = [b.hp.keyLength[layer]!, b.hp.heads[layer]!];
  const groups = stated(b, 'attention.output_group_count');
  const rank = stated(b, 'attention.output_lora_rank');
  const back = turned(b, b.reshape(x, size, heads, tokens), positions, true);
  const grouped = b.permute(b.reshape(back, (heads / groups) * size, groups, tokens), 0, 2, 1, 3);
  const products = b.mulMat(outputGroups(b, layer, groups, rank), grouped);
  const rows = b.cont(b.permute(products, 0, 2, 1, 3), rank * groups, tokens);
  return linear(b, layer, 'attn_output_b', rows);
}

/** A matrix for every group; files hold them as one. */
function outputGroups(b: Build, layer: number, groups: number, rank: number): GraphTensor {
  const weight = b.layerWeight(layer, 'attn_output_a.weight');
  const [row] = weight.ne;
  if (b.input.rules['dsv4.outputGroups'] === 'reshaped') return b.reshape(weight, row, rank, groups);
  if (weight.ne[2] === groups) return weight;
  const shaped = b.tensor({ type: weight.type, ne: [row, rank, groups, 1] });
  shaped.place = weight.place;
  shaped.weight = true;
  return shaped;
}

/** The first layers choose experts by the token itself. */
function network(at: At, x: GraphTensor, ids: GraphTensor): GraphTensor {
  const { b, layer } = at;
  const byToken = layer < stated(b, 'hash_layer_count');
  const chosen = byToken ? b.getRows(b.layerWeight(layer, 'ffn_gate_tid2eid.weight'), ids) : undefined;
  return b.add(routed(at, x, { chosen }), shared(at, x)!);
}

const connection = (b: Build, name: string, layer?: number) => {
  const weight = (part: string) => {
    const full = `${name}_${part}.weight`;
    return layer === undefined ? b.weight(full) : b.layerWeight(layer, full);
  };
  return { fn: weight('fn'), scale: weight('scale'), base: weight('base') };
};

const deepseek4: GraphBuilder = (b) => {
  const fused = fusedParts(b);
  const { connecting } = fused;
  const embeddings = inputEmbeddings(b);
  const ids = embeddings.src[1]!;
  const positions = inputPositions(b);
  const outputs = inputOutputIds(b);
  const inputs = inputsOf(b, fused);
  b.expand(inputs.window.mask);
  const count = stated(b, 'hyper_connection.count');
  let x = startRows(b, embeddings, count);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions };
    const first = enterBlock(b, x, connection(b, 'hc_attn', layer), connecting);
    const attended = attention(at, layerNorm(b, first.input, layer, 'attn_norm'), inputs);
    const second = enterBlock(
      b,
      leaveBlock(b, attended, first, connecting),
      connection(b, 'hc_ffn', layer),
      connecting,
    );
    if (b.input.rules['dsv4.expandsMixing']) for (const t of [second.residual, second.post, second.comb]) b.expand(t);
    x = leaveBlock(b, network(at, layerNorm(b, second.input, layer, 'ffn_norm'), ids), second, connecting);
    if (b.input.rules['dsv4.pinsLayers']) b.pinToLayer(x, layer);
  }
  const [embd, , tokens] = x.ne;
  const flat = b.reshape(x, embd * count, tokens);
  if (outputs) x = b.reshape(b.getRows(flat, outputs), embd, count, b.batch.outputs);
  outputHead(b, lastRow(b, x, connection(b, 'output_hc')));
};

export const deepseek4Builders: Readonly<Record<string, GraphBuilder>> = { deepseek4 };
