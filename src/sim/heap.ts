// A binary heap in an array, first by an order of the caller's. It holds values and finds none of them again: what has changed since
// it was pushed is for the caller to notice when it comes up.

type Before<T> = (a: T, b: T) => boolean;

export function heapPush<T>(heap: T[], value: T, before: Before<T>): void {
  let at = heap.length;
  heap.push(value);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(value, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = value;
}

/** The first value, taken out; undefined when there is none. */
export function heapPop<T>(heap: T[], before: Before<T>): T | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
