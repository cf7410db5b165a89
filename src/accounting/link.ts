// What a GPU's connection to the host carries, from the words of its data sheet. PCI Express base specifications 1 to 6.
import type { GpuSpec } from '../spec/gpu.ts';

/** Bytes per second of one lane in one direction, by generation. */
const lanes: Readonly<Record<string, number>> = {
  1: 0.25e9,
  2: 0.5e9,
  3: 0.985e9,
  4: 1.969e9,
  5: 3.938e9,
  6: 7.563e9,
};

/** "Gen4 x16": lanes x transfers per lane x line code, one direction, before any share; where nothing is stated, that. */
export function pcieBytesPerSecond({ pcie }: GpuSpec): number {
  const match = /Gen(\d)(?:\s*x(\d+))?/i.exec(pcie ?? '');
  return (lanes[match?.[1] ?? '4'] ?? lanes[4]!) * Number(match?.[2] ?? 16);
}
