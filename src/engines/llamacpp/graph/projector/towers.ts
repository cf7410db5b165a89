// The projectors' graphs: what stands before and behind the vision transformer. Law: tools/mtmd/models/*.cpp of llama.cpp.
import type { GraphTensor } from '../tensor.ts';
import { glm4, inMergeOrder, positionsInput, qwen2, qwen3, type Tower, twoFrames } from './squares.ts';
import type { Vit } from './vit.ts';

/** Rotations over two sets of positions (build_rope_2d). */
function rotatesTwice(b: Vit, first: GraphTensor, second: GraphTensor): (x: GraphTensor) => GraphTensor {
  return (x) => b.rope(b.rope(x, first), second);
}

const gemma3: Tower = (b) => {
  const { embd, merge } = b.sizes;
  const learned = b.weight('v.position_embd.weight');
  const seen = b.transformer(b.patchRows(), { positions: b.patches, kind: 'layer', learned });
  const plane = b.cont(b.transpose(seen), b.side, b.side, embd, 1);
  const pooled = b.averagePool(plane, merge);
  const rows = b.cont(b.transpose(b.reshape(pooled, pooled.ne[0] * pooled.ne[0], embd, 1)));
  const normed = b.mul(b.rmsNorm(rows), b.weight('mm.soft_emb_norm.weight'));
  b.expand(b.mulMat(b.cont(b.transpose(b.weight('mm.input_projection.weight'))), normed));
};

const gemma4: Tower = (b) => {
  const { embd, merge, patchSize } = b.sizes;
  const picture = b.scale(b.picture());
  const columns = b.conv2d(b.weight('v.patch_embd.weight'), picture, patchSize);
  let x = b.cont(b.transpose(b.reshape(columns, b.patches, embd, 1)));
  const [across, down] = [positionsInput(b, b.patches), positionsInput(b, b.patches)];
  x = tablePositions(b, x, across, down);
  const seen = b.transformer(x, {
    positions: b.patches,
    kind: 'rms',
    rotate: rotatesTwice(b, across, down),
    normsV: true,
  });
  const pooled = b.averagePool(b.cont(b.transpose(seen), b.side, b.side, embd, 1), merge);
  let t = b.cont(b.transpose(b.reshape(pooled, pooled.ne[0] * pooled.ne[1], embd, 1)));
  t = b.scale(t);
  const [bias, scale] = [b.optional('v.std_bias'), b.optional('v.std_scale')];
  if (bias && scale) t = b.mul(b.sub(t, bias), scale);
  b.expand(b.linear(b.rmsNorm(t), 'mm.input_projection'));
};

/** A table for columns and one for rows. */
function tablePositions(b: Vit, x: GraphTensor, across: GraphTensor, down: GraphTensor): GraphTensor {
  const table = b.weight('v.position_embd.weight');
  const count = table.ne[1];
  const row = b.rowSize(table.type, b.sizes.embd);
  const part = (offset: number) => b.view(table, { ne: [b.sizes.embd, count], nb: [row], offset });
  const columns = b.getRows(part(0), across);
  const rows = b.getRows(part(count * row), down);
  return b.add(b.add(x, columns), rows);
}

/** Gemma 4 12B: no transformer at all. */
const gemma4Unified: Tower = (b) => {
  const { patchSize } = b.sizes;
  const picture = b.picture();
  const kernel = b.tensor({ type: 'f32', ne: [patchSize, patchSize, 3, 1] });
  const columns = b.im2col(kernel, picture, patchSize, 'f32');
  let x: GraphTensor = b.reshape(columns, columns.ne[0], columns.ne[1] * columns.ne[2] * columns.ne[3]);
  x = b.normed(x, 'v.patch_norm.1', 'layer');
  x = b.add(b.mulMat(b.weight('v.patch_embd.weight'), x), b.weight('v.patch_embd.bias'));
  x = b.normed(x, 'v.patch_norm.2', 'layer');
  x = tablePositions(b, x, positionsInput(b, b.patches), positionsInput(b, b.patches));
  b.expand(b.linear(b.rmsNorm(b.normed(x, 'v.patch_norm.3', 'layer')), 'mm.input_projection'));
};

const pixtral: Tower = (b) => {
  const { embd, merge } = b.sizes;
  const [down, across] = [positionsInput(b, b.patches), positionsInput(b, b.patches)];
  const rotate = rotatesTwice(b, down, across);
  let t = b.transformer(b.patchRows(), { positions: b.patches, kind: 'rms', rotate });
  if (b.optional('mm.patch_merger.weight')) {
    t = b.mul(b.rmsNorm(t), b.weight('mm.input_norm.weight'));
    t = b.cont(b.permute(b.reshape(t, embd, b.side, b.side), 2, 0, 1, 3));
    const kernel = b.view(t, { ne: [merge, merge, t.ne[2]], nb: [0, 0] });
    t = b.im2col(kernel, t, merge, 'f32');
    t = b.mulMat(b.weight('mm.patch_merger.weight'), b.reshape(t, t.ne[0], t.ne[1] * t.ne[2]));
  }
  t = b.ffn(t, { up: 'mm.1', down: 'mm.2' }, 'gelu');
  const breaks = b.optional('v.token_embd.img_break');
  if (breaks) {
    const side = Math.floor(b.side / merge);
    const rows = b.reshape(t, t.ne[0], side, side);
    const blank = b.add(b.scale(b.tensor({ type: 'f32', ne: [t.ne[0], 1, side, 1] })), breaks);
    const all = b.concat(rows, blank, 1);
    t = b.view(all, { ne: [t.ne[0], side * side + side - 1], nb: [b.rowSize(all.type, t.ne[0])] });
  }
  b.expand(t);
};

/** Four patches become one, by rows and then by columns. */
function shuffled(b: Vit, x: GraphTensor, flipsBack: boolean): GraphTensor {
  const { embd, merge } = b.sizes;
  const [half, wide] = [b.side / merge, embd * merge];
  const rows = b.permute(b.reshape(x, wide, half, b.side, 1), 0, 2, 1, 3);
  const squares = b.cont(rows, wide * merge, half, half, 1);
  return b.cont(flipsBack ? b.permute(squares, 0, 2, 1, 3) : squares, wide * merge, half * half, 1);
}

const internvl: Tower = (b) => {
  const { embd, blocks } = b.sizes;
  const rows = b.patchRows();
  const classToken = b.repeat(b.weight('v.class_embd'), embd, 1, 1, 1);
  const kind = embd === 3200 && blocks === 45 ? 'rms' : 'layer';
  const positions = b.patches + 1;
  const learned = b.weight('v.position_embd.weight');
  const seen = b.transformer(b.concat(rows, classToken, 1), { positions, kind, learned });
  const shown = b.view(b.reshape(seen, embd, positions, 1), { ne: [embd, b.patches, 1], nb: [seen.nb[1], seen.nb[2]] });
  const tokens = b.normed(shuffled(b, b.cont(shown), true), 'mm.model.mlp.0', 'layer');
  b.expand(b.ffn(tokens, { up: 'mm.model.mlp.1', down: 'mm.model.mlp.3' }, 'gelu'));
};

const llama4: Tower = (b) => {
  const { embd, patchSize } = b.sizes;
  const positions = b.patches + 1;
  const [down, across] = [positionsInput(b, positions), positionsInput(b, positions)];
  const picture = b.picture();
  const weight = b.weight('v.patch_embd.weight');
  const columns = b.im2col(b.reshape(weight, patchSize, patchSize, 3, embd), picture, patchSize, 'f32');
  const rows = b.reshape(b.mulMat(weight, columns), embd, b.patches);
  const seen = b.transformer(b.concat(rows, b.weight('v.class_embd'), 1), {
    positions,
    kind: 'layer',
    learned: b.weight('v.position_embd.weight'),
    rotate: rotatesTwice(b, across, down),
  });
  const shown = b.view(seen, { ne: [embd, b.patches], nb: [b.rowSize(seen.type, embd)] });
  let t = b.mulMat(b.weight('mm.model.mlp.1.weight'), shuffled(b, shown, false));
  t = b.mulMat(b.weight('mm.model.mlp.2.weight'), b.unary('gelu', t));
  b.expand(b.mulMat(b.weight('mm.model.fc.weight'), b.unary('gelu', t)));
};

/** LLaVA: the last block is not read. */
const llava: Tower = (b) => {
  const classToken = b.optional('v.class_embd');
  const rows = b.patchRows();
  const x = classToken ? b.concat(rows, classToken, 1) : rows;
  const positions = positionsInput(b, x.ne[1]);
  const seen = b.transformer(b.add(x, b.getRows(b.weight('v.position_embd.weight'), positions)), {
    positions: x.ne[1],
    kind: 'layer',
    blocks: b.sizes.blocks - 1,
  });
  let t = b.getRows(seen, positionsInput(b, b.patches));
  t = b.unary('gelu', b.linear(t, 'mm.0'));
  b.expand(b.optional('mm.2.weight') ? b.linear(t, 'mm.2') : t);
};

const minimaxM3: Tower = (b) => {
  const { merge } = b.sizes;
  const x = inMergeOrder(b, twoFrames(b), merge);
  const [down, across] = [positionsInput(b, b.patches), positionsInput(b, b.patches)];
  const seen = b.transformer(x, { positions: b.patches, kind: 'layer', rotate: rotatesTwice(b, down, across) });
  const t = b.ffn(seen, { up: 'mm.1', down: 'mm.2' }, 'gelu_erf');
  const joined = b.reshape(t, t.ne[0] * merge * merge, b.patches / (merge * merge));
  b.expand(b.ffn(joined, { up: 'mm.merger.fc1', down: 'mm.merger.fc2' }, 'gelu_erf'));
};

const kimi: Tower = (b) => {
  const { embd, merge } = b.sizes;
  const [down, across] = [positionsInput(b, b.patches), positionsInput(b, b.patches)];
  const table = b.weight('v.position_embd.weight');
  const same = table.ne[1] === b.side && table.ne[2] === b.side;
  const grown = (t: GraphTensor) =>
    b.permute(b.interpolate(b.permute(t, 2, 1, 0, 3), b.side, b.side, embd, 1), 2, 1, 0, 3);
  const learned = b.cont(same ? table : grown(table), embd, b.patches);
  const x = b.add(b.patchRows(), learned);
  const seen = b.transformer(x, { positions: b.patches, kind: 'layer', rotate: rotatesTwice(b, across, down) });
  const half = Math.ceil(b.side / merge);
  const gap = half * merge - b.side;
  let t = b.reshape(seen, embd, b.side, b.side);
  if (gap > 0) t = b.pad(t, 0, gap, gap, 0);
  const rows = b.permute(b.reshape(t, embd * merge, half, half * merge), 0, 2, 1, 3);
  const squares = b.permute(b.cont(rows, embd * merge * merge, half, half), 0, 2, 1, 3);
  const flat = b.cont(squares, embd * merge * merge, half * half);
  const apart = b.view(flat, { ne: [embd, half * half * merge * merge], nb: [b.rowSize(flat.type, embd)] });
  const normed = b.normed(apart, 'mm.input_norm', 'layer');
  const width = embd * merge * merge;
  const joined = b.view(normed, { ne: [width, half * half], nb: [b.rowSize(normed.type, width)] });
  b.expand(b.ffn(joined, { up: 'mm.1', down: 'mm.2' }, 'gelu'));
};

/** By clip.projector_type. */
export const towers: Readonly<Record<string, Tower>> = {
  qwen2vl_merger: qwen2('layer', (b) => b.sizes.projected),
  'qwen2.5vl_merger': qwen2('rms', (b) => b.sizes.projected),
  exaone4_5: qwen2('rms', (b) => b.sizes.projected),
  qwen3vl_merger: qwen3,
  glm4v: glm4,
  gemma3,
  gemma4v: gemma4,
  gemma4uv: gemma4Unified,
  pixtral,
  internvl,
  llama4,
  mlp: llava,
  minimax_m3: minimaxM3,
  kimik25: kimi,
};
