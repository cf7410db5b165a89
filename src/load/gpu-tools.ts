// Reads what nvidia-smi, rocm-smi and system_profiler print about GPUs. Pure: text in, devices out; the captured outputs are in
// the tests. Fields that a tool leaves out or prints as "N/A" stay absent.
import type { Vendor } from '../spec/gpu.ts';
import { type Bytes, GiB, MiB } from '../units.ts';

/** What a tool printed about one device. */
export interface SeenGpu {
  name: string;
  vendor: Vendor;
  /** Absent where the tool prints "Not Supported" (GPUs that share the host's memory). */
  totalBytes?: Bytes;
  usedBytes?: Bytes;
}

export interface GpuTool {
  command: string;
  args: readonly string[];
  read: (output: string) => SeenGpu[];
  /** Asked too, where a listing by device says more; it may fail. */
  listing?: { args: readonly string[]; read: (output: string, seen: readonly SeenGpu[]) => SeenGpu[] };
}

/** In the order in which they are asked. */
export const gpuTools: readonly GpuTool[] = [
  {
    command: 'nvidia-smi',
    args: ['--query-gpu=name,memory.total,memory.used', '--format=csv,noheader,nounits'],
    read: readNvidiaSmi,
    listing: { args: ['-L'], read: readMigListing },
  },
  {
    command: 'rocm-smi',
    args: ['--showproductname', '--showmeminfo', 'vram', '--json'],
    read: readRocmSmi,
  },
  {
    command: 'system_profiler',
    args: ['SPDisplaysDataType', 'SPHardwareDataType', '-json'],
    read: readSystemProfiler,
  },
];

/** Lines "name, total MiB, used MiB"; a GPU with shared memory prints [N/A] or [Not Supported]. */
export function readNvidiaSmi(output: string): SeenGpu[] {
  return output.split('\n').flatMap((line) => {
    const parts = line.split(',').map((part) => part.trim());
    if (parts.length < 3 || parts[0] === '') return [];
    const [total, used] = parts.slice(-2).map(mebibytes);
    const name = parts.slice(0, -2).join(', ');
    return [{ name, vendor: 'nvidia' as const, ...bytesOf(total, used) }];
  });
}

/**
 * Lines "GPU 0: NVIDIA H100 80GB HBM3 (UUID: ...)", under a partitioned one "  MIG 1g.10gb     Device  0: (UUID: ...)": such a
 * GPU is its slices, each of which CUDA sees as a device of its own.
 */
export function readMigListing(output: string, seen: readonly SeenGpu[]): SeenGpu[] {
  const slices = new Map<number, SeenGpu[]>();
  let at = -1;
  for (const line of output.split('\n')) {
    const gpu = /^GPU (\d+): /.exec(line);
    if (gpu) at = Number(gpu[1]);
    const profile = /^\s+MIG (\S+)\s+Device/.exec(line)?.[1];
    const parent = seen[at];
    if (profile === undefined || !parent) continue;
    const slice: SeenGpu = { name: `${parent.name} MIG ${profile}`, vendor: 'nvidia' };
    slices.set(at, [...(slices.get(at) ?? []), slice]);
  }
  return seen.flatMap((gpu, i) => slices.get(i) ?? [gpu]);
}

function mebibytes(text: string): number | undefined {
  const match = /^(\d+)(?:\s*MiB)?$/.exec(text);
  return match ? Number(match[1]) * MiB : undefined;
}

function bytesOf(total: number | undefined, used: number | undefined): Pick<SeenGpu, 'totalBytes' | 'usedBytes'> {
  return { ...(total ? { totalBytes: total } : {}), ...(used !== undefined ? { usedBytes: used } : {}) };
}

/** { "card0": { "Card Series": "...", "VRAM Total Memory (B)": "...", "VRAM Total Used Memory (B)": "..." } } */
export function readRocmSmi(output: string): SeenGpu[] {
  const start = output.indexOf('{');
  if (start < 0) return [];
  const cards = parseObject(output.slice(start));
  return Object.entries(cards).flatMap(([key, card]) => {
    if (!/^card\d+$/.test(key) || typeof card !== 'object' || card === null) return [];
    const fields = new Map(Object.entries(card).map(([name, value]) => [name.toLowerCase(), String(value)]));
    const name = [fields.get('card series'), fields.get('card model'), fields.get('device name')].find(
      (value) => value !== undefined && !/^(n\/a|0x)/i.test(value),
    );
    const total = Number(fields.get('vram total memory (b)'));
    const used = Number(fields.get('vram total used memory (b)'));
    const usable = Number.isSafeInteger(used) ? used : undefined;
    return [{ name: name ?? 'AMD GPU', vendor: 'amd' as const, ...bytesOf(total || undefined, usable) }];
  });
}

/** Apple silicon: the chip's name, and the machine's memory, which the GPU shares. */
export function readSystemProfiler(output: string): SeenGpu[] {
  const report = parseObject(output);
  const display = firstOf(report.SPDisplaysDataType);
  const hardware = firstOf(report.SPHardwareDataType);
  const name = display?.sppci_model ?? hardware?.chip_type;
  if (typeof name !== 'string' || !/^Apple /.test(name)) return [];
  const memory = /^(\d+)\s*GB$/.exec(String(hardware?.physical_memory ?? ''));
  return [{ name, vendor: 'apple', ...(memory ? { totalBytes: Number(memory[1]) * GiB } : {}) }];
}

function firstOf(value: unknown): Record<string, unknown> | undefined {
  return Array.isArray(value) ? (value[0] as Record<string, unknown> | undefined) : undefined;
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
