// A doubly linked list of small integers whose links live in arrays shared by several lists: an id is in at most one of them.
// Every operation takes constant time; nothing here knows what the ids stand for.

export interface Links {
  readonly next: Int32Array;
  readonly prev: Int32Array;
}

export function createLinks(ids: number): Links {
  return { next: new Int32Array(ids), prev: new Int32Array(ids) };
}

export class IdList {
  head = -1;
  tail = -1;
  size = 0;
  private readonly next: Int32Array;
  private readonly prev: Int32Array;

  constructor(links: Links) {
    this.next = links.next;
    this.prev = links.prev;
  }

  append(id: number): void {
    const tail = this.tail;
    this.prev[id] = tail;
    this.next[id] = -1;
    if (tail >= 0) this.next[tail] = id;
    else this.head = id;
    this.tail = id;
    this.size++;
  }

  remove(id: number): void {
    const before = this.prev[id]!;
    const after = this.next[id]!;
    if (before >= 0) this.next[before] = after;
    else this.head = after;
    if (after >= 0) this.prev[after] = before;
    else this.tail = before;
    this.size--;
  }

  /** The head, taken out; -1 when the list is empty. */
  shift(): number {
    const id = this.head;
    if (id >= 0) this.remove(id);
    return id;
  }

  /** The ids from head to tail. */
  toArray(): number[] {
    const ids: number[] = [];
    for (let id = this.head; id >= 0; id = this.next[id]!) ids.push(id);
    return ids;
  }
}
