// One expandable segment: a range of addresses of 9/8 of the device, backed page by page (2 MiB in the small pool, 20 MiB in the
// large one). A request for memory gets all its pages or none; a page goes back only when nothing of it is in use.
// Source: struct ExpandableSegment in c10/cuda/CUDACachingAllocator.cpp, PyTorch 2.10.0.
import { divCeil, divFloor } from '../../units.ts';
import type { DeviceMemory } from './device.ts';

interface AddressRange {
  address: number;
  bytes: number;
}

export class ExpandableSegment {
  readonly address: number;
  readonly bytes: number;
  readonly pageBytes: number;
  readonly #device: DeviceMemory;

  constructor(device: DeviceMemory, pageBytes: number) {
    this.#device = device;
    this.pageBytes = pageBytes;
    this.bytes = divCeil(device.totalBytes + divFloor(device.totalBytes, 8), pageBytes) * pageBytes;
    this.address = device.reserveAddresses(this.bytes);
  }

  /** Backs whole pages from `address` (a page's first byte); what was backed, or undefined when the device has too little. */
  map({ address, bytes }: AddressRange): AddressRange | undefined {
    const mapped = divCeil(bytes, this.pageBytes) * this.pageBytes;
    return this.#device.take(mapped) ? { address, bytes: mapped } : undefined;
  }

  /** Gives back the pages that lie wholly within the range; undefined when there is none. */
  unmap(range: AddressRange): AddressRange | undefined {
    const pages = this.wholePages(range);
    if (pages) this.#device.give(pages.bytes);
    return pages;
  }

  wholePages({ address, bytes }: AddressRange): AddressRange | undefined {
    const begin = divCeil(address - this.address, this.pageBytes);
    const end = divFloor(address + bytes - this.address, this.pageBytes);
    if (begin >= end) return undefined;
    return { address: this.address + begin * this.pageBytes, bytes: (end - begin) * this.pageBytes };
  }
}
