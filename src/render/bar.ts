// The budget of one GPU as a bar of characters: one glyph a component, so that it reads without colour.
import type { ItemId } from '../plan/types.ts';

export const glyphs: Readonly<Record<ItemId, string>> = {
  weights: '█',
  'kv-cache': '▓',
  state: '▞',
  'compute-buffer': '▒',
  'output-buffer': '░',
  projector: '▚',
  draft: '≡',
  other: '▤',
  lora: '▚',
  activations: '▒',
  graphs: '░',
  'non-torch': '≡',
  communication: '=',
  context: '×',
  buffers: '+',
  free: '·',
};

/** Cells per item by largest remainder, so that they always add up to `width` and nothing above zero vanishes. */
export function barCells<Id extends string>(
  items: readonly { id: Id; bytes: number }[],
  totalBytes: number,
  width: number,
): { id: Id; cells: number }[] {
  const positive = items.filter((item) => item.bytes > 0);
  const exact = positive.map((item) => (item.bytes / totalBytes) * width);
  const cells = exact.map((value) => Math.max(1, Math.floor(value)));
  let rest = width - cells.reduce((a, b) => a + b, 0);
  const order = exact
    .map((value, i) => ({ i, remainder: value - Math.floor(value) }))
    .sort((a, b) => b.remainder - a.remainder);
  for (let k = 0; rest > 0 && order.length > 0; k = (k + 1) % order.length, rest--) cells[order[k]!.i]!++;
  while (rest < 0) {
    const widest = cells.indexOf(Math.max(...cells));
    cells[widest]!--;
    rest++;
  }
  return positive.map((item, i) => ({ id: item.id, cells: cells[i]! }));
}
