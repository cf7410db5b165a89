// Projectors whose patches are put into squares that become one token: Qwen2-VL to Qwen3.5, EXAONE 4.5, GLM 4.1V and 4.5V. Law:
// tools/mtmd/models/qwen2vl.cpp, qwen3vl.cpp, exaone4_5.cpp, glm4v.cpp.
import type { GraphTensor } from '../tensor.ts';
import type { Vit, VitParts } from './vit.ts';

/** Builds the whole graph. */
export type Tower = (b: Vit) => void;

export const positionsInput = (b: Vit, count: number): GraphTensor => b.inputTensor('i32', count);

/** Two frames' convolutions, added. */
export function twoFrames(b: Vit): GraphTensor {
  const picture = b.picture();
  const { patchSize } = b.sizes;
  const first = b.conv2d(b.weight('v.patch_embd.weight'), picture, patchSize);
  return b.add(first, b.conv2d(b.weight('v.patch_embd.weight.1'), picture, patchSize));
}

/** Patches in the order in which they are merged, from rows of a picture's width. */
function mergeOrder(b: Vit, x: GraphTensor, factor = 2): GraphTensor {
  const { embd } = b.sizes;
  const { side } = b;
  const wide = b.cont(x, embd * factor, side / factor, side, 1);
  const rows = b.reshape(wide, embd * factor, side / factor, factor, side / factor);
  return b.cont(b.permute(rows, 0, 2, 1, 3), embd, side * side, 1);
}

/** The same from a picture's planes. */
export const inMergeOrder = (b: Vit, x: GraphTensor, factor = 2): GraphTensor =>
  mergeOrder(b, b.permute(x, 1, 2, 0, 3), factor);

/** Learned positions for another number of patches (resize_position_embeddings). */
function resizedPositions(b: Vit): GraphTensor {
  const table = b.weight('v.position_embd.weight');
  const { embd } = b.sizes;
  const own = Math.floor(Math.sqrt(table.ne[1]));
  if (own === b.side) return table;
  const square = b.permute(b.reshape(table, embd, own, own), 2, 0, 1, 3);
  const grown = b.permute(b.interpolate(square, b.side, b.side, embd, 1), 1, 2, 0, 3);
  return b.cont(grown, embd, b.patches);
}

const qwenHead = (b: Vit, x: GraphTensor): GraphTensor =>
  b.ffn(b.reshape(x, b.sizes.embd * 4, b.patches / 4, 1), { up: 'mm.0', down: 'mm.2' }, 'gelu');

/** Qwen2-VL and 2.5-VL, EXAONE 4.5: in 2.5 most blocks look only at a window. */
export function qwen2(kind: VitParts['kind'], projected: (b: Vit) => number): Tower {
  return (b) => {
    const every = Number(b.model.metadata['vision.n_wa_pattern'] ?? 0);
    let x = inMergeOrder(b, twoFrames(b));
    const positions = positionsInput(b, b.patches * 4);
    let mask: GraphTensor | undefined;
    if (every > 0) {
      const order = positionsInput(b, b.patches / 4);
      mask = b.inputTensor('f32', b.patches, b.patches);
      if (b.flash) mask = b.cast(mask, 'f16');
      const rows = b.reshape(x, b.sizes.embd * 4, b.patches / 4);
      x = b.reshape(b.getRows(rows, order), b.sizes.embd, b.patches, 1);
    }
    const seen = b.transformer(x, {
      positions: b.patches,
      kind,
      rotate: (t) => b.rope(t, positions),
      mask: (block) => (every > 0 && (block + 1) % every !== 0 ? mask : undefined),
    });
    let tokens = qwenHead(b, seen);
    if (every > 0) {
      const back = positionsInput(b, b.patches / 4);
      tokens = b.getRows(b.reshape(tokens, projected(b), b.patches / 4), back);
    }
    b.expand(tokens);
  };
}

/** Qwen3-VL and Qwen3.5: learned positions, and in VL tokens of some blocks on the way beside the last ones. */
export const qwen3: Tower = (b) => {
  const { embd, merge } = b.sizes;
  let x = inMergeOrder(b, twoFrames(b));
  x = b.add(x, b.weight('v.patch_embd.bias'));
  x = b.add(x, mergeOrder(b, resizedPositions(b)));
  const positions = positionsInput(b, b.patches * 4);
  const factor = merge * merge;
  let stacked: GraphTensor | undefined;
  const seen = b.transformer(x, {
    positions: b.patches,
    kind: 'layer',
    rotate: (t) => b.rope(t, positions),
    afterBlock: (t, block) => {
      const at = `v.deepstack.${block}.`;
      if (!b.optional(`${at}fc1.weight`)) return;
      const wide = b.normed(b.reshape(t, embd * factor, b.patches / factor, 1), `${at}norm`, 'layer');
      const feature = b.ffn(wide, { up: `${at}fc1`, down: `${at}fc2` }, 'gelu');
      stacked = stacked ? b.concat(stacked, feature, 0) : feature;
    },
  });
  const tokens = qwenHead(b, seen);
  b.expand(stacked ? b.concat(tokens, stacked, 0) : tokens);
};

export const glm4: Tower = (b) => {
  const { embd, merge, patchSize } = b.sizes;
  const picture = b.picture();
  const first = b.conv2d(b.weight('v.patch_embd.weight'), picture, patchSize);
  const positions = positionsInput(b, b.patches * 4);
  let x = inMergeOrder(b, b.add(first, b.conv2d(b.weight('v.patch_embd.weight.1'), picture, patchSize)));
  x = b.normed(b.add(x, b.weight('v.patch_embd.bias')), 'v.norm_embd', 'rms');
  const seen = b.transformer(x, {
    positions: b.patches,
    kind: 'rms',
    learned: b.optional('v.position_embd.weight') && mergeOrder(b, resizedPositions(b)),
    rotate: (t) => b.rope(t, positions),
  });
  const tokens = b.patches / (merge * merge);
  const squares = b.cont(b.permute(b.reshape(seen, embd, merge, merge, tokens), 2, 0, 1, 3));
  const merged = b.conv2d(b.weight('mm.patch_merger.weight'), squares, merge);
  let t = b.add(b.reshape(merged, merged.ne[2], tokens), b.weight('mm.patch_merger.bias'));
  t = b.unary('gelu_erf', b.normed(b.linear(t, 'mm.model.fc'), 'mm.post_norm', 'layer'));
  b.expand(b.ffn(t, { up: 'mm.up', gate: 'mm.gate', down: 'mm.down' }, b.activation));
};
