// Which blocks lie in which page: the first block of every page and, at the end, the number of blocks.

/** Pages of `perPage` blocks each. */
export function evenLayout(pages: number, perPage: number): Int32Array {
  return Int32Array.from({ length: pages + 1 }, (_, i) => i * perPage);
}

/**
 * Pages of `pageBytes` in which blocks of `blockBytes` lie one after the other; those that reach over the end of a page are never used:
 * page i has the blocks from ceil(i P / b) to floor((i + 1) P / b) (kvcached, page_allocator.cpp get_block_range). Where blocks take
 * more than half a page, there are pages in which none lies whole.
 */
export function straddledLayout(pages: number, pageBytes: number, blockBytes: number): Int32Array {
  const first = [0];
  for (let page = 0; page < pages; page++) {
    const from = Math.ceil((page * pageBytes) / blockBytes);
    const to = Math.floor(((page + 1) * pageBytes) / blockBytes);
    first.push((first.at(-1) as number) + Math.max(0, to - from));
  }
  return Int32Array.from(first);
}
