// Asks this machine for its GPUs: nvidia-smi, then rocm-smi, then system_profiler (macOS). The tools print what the driver
// reports; the total that CUDA reports comes from the preset of that card, moved by what the driver total differs (ECC, MIG).
import { execFile } from 'node:child_process';
import { type Diagnostic, VramError } from '../diagnostics.ts';
import type { GpuSpec, Vendor } from '../spec/gpu.ts';
import { type Bytes, GiB, MiB } from '../units.ts';
import { safeId } from './config-json.ts';
import type { LoadContext } from './context.ts';
import type { ResolvedGpus } from './gpu.ts';
import { printable } from './names.ts';
import { findPresets } from './presets.ts';

/** What a tool printed about one device. */
export interface SeenGpu {
  name: string;
  vendor: Vendor;
  /** Absent where the tool prints "Not Supported" (GPUs that share the host's memory). */
  totalBytes?: Bytes;
  usedBytes?: Bytes;
}

interface Tool {
  command: string;
  args: readonly string[];
  read: (output: string) => SeenGpu[];
  /** Asked too, where a listing by device says more; it may fail. */
  listing?: { args: readonly string[]; read: (output: string, seen: readonly SeenGpu[]) => SeenGpu[] };
}

const tools: readonly Tool[] = [
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

const timeoutMs = 20_000;

export async function detectGpus(context: LoadContext): Promise<ResolvedGpus> {
  const troubles: string[] = [];
  for (const tool of tools) {
    const output = await runTool(tool.command, tool.args, context, troubles);
    if (output === undefined) continue;
    const seen = tool.read(output);
    if (seen.length > 0) return matched(await listed(tool, seen, context));
    troubles.push(`${tool.command} lists no GPU`);
  }
  const tried = tools.map((tool) => tool.command).join(', ');
  throw new VramError(
    'VRAM191',
    troubles.length > 0 ? `no GPU found: ${troubles.join('; ')}` : `no GPU found: none of ${tried} is on the path`,
    'name the GPU instead, e.g. --gpu rtx4090',
  );
}

async function listed(tool: Tool, seen: SeenGpu[], context: LoadContext): Promise<SeenGpu[]> {
  const output = tool.listing && (await runTool(tool.command, tool.listing.args, context, []));
  return output === undefined ? seen : tool.listing!.read(output, seen);
}

/** Standard output of a tool; undefined when it is not there or fails, with the reason noted. */
function runTool(
  command: string,
  args: readonly string[],
  context: LoadContext,
  troubles: string[],
): Promise<string | undefined> {
  const env = (context.env ?? process.env) as NodeJS.ProcessEnv;
  return new Promise((done) => {
    const options = { env: { ...env, LC_ALL: 'C' }, timeout: timeoutMs, maxBuffer: 8 * 2 ** 20 };
    execFile(command, [...args], options, (error, stdout, stderr) => {
      if (!error) return done(stdout);
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        const first = `${stderr}\n${stdout}`.split('\n').find((line) => line.trim() !== '');
        const reason = error.killed ? 'took too long' : (first ?? error.message);
        troubles.push(`${command}: ${printable(reason.trim(), 160)}`);
      }
      done(undefined);
    });
  });
}

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

function matched(seen: readonly SeenGpu[]): ResolvedGpus {
  const diagnostics: Diagnostic[] = [];
  const gpus = seen.map((device) => specOf(device, diagnostics));
  const used = seen.map((device) => device.usedBytes);
  const free = used.every((bytes) => bytes !== undefined)
    ? { freeBytes: gpus.map((gpu, i) => Math.max(0, gpu.cudaTotalBytes - used[i]!)) }
    : {};
  return { gpus, ...free, from: 'machine', diagnostics };
}

/** The preset of that name whose driver total is nearest; its CUDA total moves with the difference. */
function specOf(seen: SeenGpu, diagnostics: Diagnostic[]): GpuSpec {
  const total = seen.totalBytes;
  const distance = (gpu: GpuSpec) => (total === undefined ? 0 : Math.abs(gpu.driverTotalBytes - total));
  const preset = findPresets('gpus', seen.name).sort((a, b) => distance(a) - distance(b))[0];
  if (!preset) return unlisted(seen, diagnostics);
  if (total === undefined || distance(preset) <= MiB) return preset;
  const hidden = preset.driverTotalBytes - preset.cudaTotalBytes;
  return {
    ...preset,
    driverTotalBytes: total,
    cudaTotalBytes:
      preset.vendor === 'apple'
        ? Math.round((total / preset.driverTotalBytes) * preset.cudaTotalBytes)
        : total - hidden,
    cudaTotalConfidence: 'derived',
  };
}

/** A card that no preset describes: its driver total is known, the rest is not. */
function unlisted(seen: SeenGpu, diagnostics: Diagnostic[]): GpuSpec {
  if (seen.totalBytes === undefined) {
    throw new VramError(
      'VRAM192',
      `the memory of ${printable(seen.name)} is not printed by its driver`,
      'give --gpu and --gpu-memory',
    );
  }
  diagnostics.push({
    severity: 'warning',
    code: 'VRAM108',
    message: `no preset for ${printable(seen.name)}: the total that CUDA reports is estimated`,
    hint: 'give it with --gpu-memory',
    path: '--gpu',
  });
  return {
    id: safeId(seen.name),
    name: printable(seen.name),
    vendor: seen.vendor,
    driverTotalBytes: seen.totalBytes,
    cudaTotalBytes: seen.totalBytes - estimatedHiddenBytes(seen),
    cudaTotalConfidence: 'estimated',
  };
}

/**
 * What the driver keeps for itself by class of card: 350 MiB up to 12 GB, 450 to 24, 490 to 32, 620 to 48, 640 above; 16 MiB
 * are already left out of AMD's totals. From pairs of nvidia-smi and CUDA totals in public logs.
 */
function estimatedHiddenBytes({ vendor, totalBytes = 0 }: SeenGpu): Bytes {
  if (vendor !== 'nvidia') return 0;
  const steps: readonly (readonly [upToGiB: number, mebibytes: number])[] = [
    [12.5, 350],
    [25, 450],
    [33, 490],
    [50, 620],
    [Number.POSITIVE_INFINITY, 640],
  ];
  return steps.find(([limit]) => totalBytes <= limit * GiB)![1] * MiB;
}
