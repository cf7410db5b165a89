// The physical memory of the GPUs that models share: bytes that nobody holds, by GPU. Whoever takes bytes takes them on all GPUs of its
// model or on none. Law S1: what is held and what is free is always all there is.
import { assert } from '../../assert.ts';

export class Ledger {
  private readonly bytes: Float64Array;
  /** Counts every time that bytes come free: who found none may look again. */
  freed = 0;

  constructor(readonly devices: readonly number[]) {
    this.bytes = Float64Array.from(devices);
  }

  /** Free bytes on each of these GPUs: those of the one with the least. */
  free(devices: readonly number[]): number {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < devices.length; i++) {
      const bytes = this.bytes[devices[i] as number] as number;
      if (bytes < least) least = bytes;
    }
    return least;
  }

  take(devices: readonly number[], bytes: number): boolean {
    if (this.free(devices) < bytes) return false;
    for (let i = 0; i < devices.length; i++) this.bytes[devices[i] as number]! -= bytes;
    return true;
  }

  give(devices: readonly number[], bytes: number): void {
    if (bytes === 0) return;
    for (let i = 0; i < devices.length; i++) {
      const device = devices[i] as number;
      this.bytes[device]! += bytes;
      assert(
        (this.bytes[device] as number) <= (this.devices[device] as number),
        'law S1: more memory is given back than there is',
      );
    }
    this.freed++;
  }
}
