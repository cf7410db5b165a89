// The memory of a device as an allocator meets it: so many bytes, handed out in any place. Physical pages of 2 MiB need not be
// neighbours, so the device itself never fragments for multiples of 2 MiB, which is all that PyTorch asks for. Addresses only rise and
// are never given twice: CUDA promises no order, and only ties between blocks of one size depend on it.
import { alignUp, MiB } from '../../units.ts';

const addressStep = 2 * MiB;

export class DeviceMemory {
  readonly totalBytes: number;
  usedBytes = 0;
  #nextAddress = 0;

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes;
  }

  get freeBytes(): number {
    return this.totalBytes - this.usedBytes;
  }

  take(bytes: number): boolean {
    if (bytes > this.freeBytes) return false;
    this.usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
  }

  /** A range of addresses, with or without memory behind it. */
  reserveAddresses(bytes: number): number {
    const address = this.#nextAddress;
    this.#nextAddress += alignUp(bytes, addressStep);
    return address;
  }
}
