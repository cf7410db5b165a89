// What tensor-parallel ranks set up to sum over: NCCL (measured only), the engine's own all-reduce and torch's symmetric memory, whose
// sizes the release states by capability and group size. Law: vllm/distributed/device_communicators/{custom_all_reduce,symm_mem,
// all_reduce_utils,cuda_communicator}.py of the release. FlashInfer's workspace is made while profiling and lies in the growth measured
// there.
import { nvlinkDomain } from '../../../accounting/link.ts';
import { alignUp, MiB } from '../../../units.ts';
import { measured } from './measured.ts';
import type { Amount, MemoryInput } from './types.ts';

/** Sizes in MiB by capability and group size. */
type Sizes = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** memory.allReduce of a release. */
export interface AllReduceRule {
  /** The largest message of the engine's own all-reduce; it holds a buffer and a scratch of that size. */
  largestMib: number;
  /** At least as large is the buffer that other collectives share. */
  leastBufferMib: number;
  /** Torch's symmetric memory: on unless the environment says no; null where the release has none. */
  symmetric: { byDefault: boolean; sizesMib: Sizes; largestBesideMib: Sizes } | null;
  /** Staging in multicast memory. */
  multicastMib: number;
}

interface Part {
  name: string;
  bytes: number;
}

/** NCCL with the buffers beside it. */
export function communicationAmount(input: MemoryInput): Amount {
  const nccl = measured(input.profile['memory.communication'], input, 'NCCL buffers', 'NCCL');
  const parts = allReduceParts(input);
  if (parts.length === 0) return nccl;
  const bytes = parts.reduce((all, part) => all + part.bytes, 0);
  return {
    bytes: nccl.bytes + bytes,
    lowBytes: nccl.lowBytes + bytes,
    highBytes: nccl.highBytes + bytes,
    get formula() {
      return [nccl.formula, ...parts.map((part) => `${part.name} ${Math.round(part.bytes / MiB)} MiB`)].join(' + ');
    },
    source: 'NCCL; vllm/distributed/device_communicators',
    confidence: 'estimated',
  };
}

/** What one rank of a tensor-parallel group allocates by itself; the groups of other kinds use NCCL alone. */
export function allReduceParts({ gpu, options, profile }: MemoryInput): Part[] {
  const { tensorParallelSize: tp, env = {} } = options;
  const rule = profile['memory.allReduce'];
  if (tp === 1 || !rule || gpu.vendor !== 'nvidia') return [];
  const domain = nvlinkDomain(gpu);
  const connected = tp <= domain;
  const capability = gpu.computeCapability ?? '';
  const { symmetric } = rule;
  const asked = env.VLLM_ALLREDUCE_USE_SYMM_MEM;
  const on = symmetric !== null && (asked === undefined ? symmetric.byDefault : asked === '1');
  const size = on ? symmetric.sizesMib[capability]?.[tp] : undefined;
  const parts: Part[] = [];
  if (size !== undefined) parts.push({ name: 'symmetric memory', bytes: size * MiB });
  const multicast = connected && Number(capability) >= 9 && domain > switchless;
  if (!customSizes.includes(tp) || !(connected || (tp === 2 && reachesPeers(gpu.name)))) return parts;
  const beside = size !== undefined && multicast ? symmetric?.largestBesideMib[capability]?.[tp] : undefined;
  const largest = Math.min(rule.largestMib, beside ?? rule.largestMib) * MiB;
  const buffer = Math.max(largest, rule.leastBufferMib * MiB);
  const own = alignUp(largest + signalBytes, page) + alignUp(buffer, page) + pointerBytes;
  parts.push({ name: 'custom all-reduce', bytes: own });
  if (multicast && rule.multicastMib > 0) parts.push({ name: 'multicast staging', bytes: rule.multicastMib * MiB });
  return parts;
}

/** CustomAllreduce._SUPPORTED_WORLD_SIZES; 16 is for racks of several nodes. */
const customSizes: readonly number[] = [2, 4, 6, 8];
/** Bridges join up to four cards; only switches send to all at once. */
const switchless = 4;
/** csrc/custom_all_reduce.cuh Signal, less than a page of the driver. */
const signalBytes = 8192;
/** The driver hands out memory in pages of so many bytes. */
const page = 2 * MiB;
/** An 8 MiB tensor of pointers takes a segment of 20 MiB of torch's allocator. */
const pointerBytes = 20 * MiB;

/** Two cards on PCIe, where the driver lets them: not with GeForce cards (is_fully_connected, can_device_access_peer). */
function reachesPeers(name: string): boolean {
  return !/GeForce|TITAN/i.test(name);
}
