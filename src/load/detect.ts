// Asks this machine for its GPUs: nvidia-smi, then rocm-smi, then system_profiler (macOS). The tools print what the driver
// reports; the total that CUDA reports comes from the preset of that card, moved by what the driver total differs (ECC, MIG).
import { execFile } from 'node:child_process';
import { type Diagnostic, VramError } from '../diagnostics.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import { type Bytes, GiB, MiB } from '../units.ts';
import { safeId } from './config-json.ts';
import type { LoadContext } from './context.ts';
import type { ResolvedGpus } from './gpu.ts';
import { type GpuTool, gpuTools, type SeenGpu } from './gpu-tools.ts';
import { printable } from './names.ts';
import { findPresets } from './presets.ts';

const timeoutMs = 20_000;

export async function detectGpus(context: LoadContext): Promise<ResolvedGpus> {
  const troubles: string[] = [];
  for (const tool of gpuTools) {
    const output = await runTool(tool.command, tool.args, context, troubles);
    if (output === undefined) continue;
    const seen = tool.read(output);
    if (seen.length > 0) return matched(await listed(tool, seen, context));
    troubles.push(`${tool.command} lists no GPU`);
  }
  const tried = gpuTools.map((tool) => tool.command).join(', ');
  throw new VramError(
    'VRAM191',
    troubles.length > 0 ? `no GPU found: ${troubles.join('; ')}` : `no GPU found: none of ${tried} is on the path`,
    'name the GPU instead, e.g. --gpu rtx4090',
  );
}

async function listed(tool: GpuTool, seen: SeenGpu[], context: LoadContext): Promise<SeenGpu[]> {
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
