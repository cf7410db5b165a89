// What carries messages between GPUs and to the host: NVLink inside a domain, PCI Express inside a node, the network between nodes. Rates
// of PCIe are those of its base specifications 1 to 6, the others of GPU and node presets; the shares that collectives reach of them are
// measured for NVLink and PCIe and an estimate for the network. Ranks are placed in order, so that a group fills nodes one by one.
import type { GpuSpec } from '../spec/gpu.ts';
import type { NodeSpec } from '../spec/node.ts';

export type LinkKind = 'nvlink' | 'pcie' | 'network';

export interface GroupLink {
  kind: LinkKind;
  /** What a collective reaches of it, each way. */
  bytesPerSecond: number;
  /** Of one message of any size. */
  latencySeconds: number;
  source: string;
}

export interface LinkInput {
  gpu: GpuSpec;
  /** The machine, where it is known; else the usual one for this GPU. */
  node?: NodeSpec | undefined;
  ranks: number;
}

/** The slowest link that a group of so many ranks has to use: one PCIe pair or one network hop in its ring slows all of it. */
export function groupLink({ gpu, node, ranks }: LinkInput): GroupLink {
  const local = localLink({ gpu, node, ranks: Math.min(ranks, gpusWithoutNetwork(gpu, node)) });
  return ranks <= gpusWithoutNetwork(gpu, node) ? local : networkLink(gpu, node, local);
}

/** GPUs that need no network to reach each other. */
export function gpusWithoutNetwork(gpu: GpuSpec, node: NodeSpec | undefined): number {
  return Math.max(gpusPerNode(gpu, node), nvlinkDomain(gpu, node));
}

function gpusPerNode(gpu: GpuSpec, node: NodeSpec | undefined): number {
  return node?.count ?? gpu.maxGpusPerNode ?? 8;
}

/** GPUs of one NVLink domain; 1: none. Cards with bridges go in pairs, boards with switches reach all of a node. */
export function nvlinkDomain(gpu: GpuSpec, node?: NodeSpec): number {
  if (!gpu.nvlinkBytesPerSecond) return 1;
  return node?.nvlinkDomain ?? gpu.nvlinkDomain ?? gpusPerNode(gpu, node);
}

/**
 * NVLink figures are of both directions together; all-reduces of 2 to 8 A100 or H100 reach .58 to .94 of one (microsoft/vidur
 * data/profiling/network), and small ones take the engine's own kernel about 10 us. Over PCIe NCCL takes 25 us a hop of its tree
 * (RTX 4090, IOG-Foundation/llm-inference-benchmarks: an all-reduce of 2, 4 and 8 about 40, 95 and 100 us) and reaches, as it
 * is set up by default, .35 of the nominal rate on RTX PRO 6000 (voipmonitor/rtx6kpro hardware/pcie-bandwidth.md: 22 GB/s; 41 tuned) and .40
 * on RTX 4090; A100 with peer-to-peer reach .76.
 */
function localLink({ gpu, node, ranks }: LinkInput): GroupLink {
  const domain = nvlinkDomain(gpu, node);
  if (gpu.nvlinkBytesPerSecond && ranks <= domain) {
    return {
      kind: 'nvlink',
      bytesPerSecond: (gpu.nvlinkBytesPerSecond / 2) * 0.7,
      latencySeconds: 1e-5,
      source: `.7 of NVLink, one direction, ${domain} GPUs in a domain (${node ? node.id : 'usual for this GPU'})`,
    };
  }
  return {
    kind: 'pcie',
    bytesPerSecond: pcieBytesPerSecond(gpu) * 0.35,
    latencySeconds: 2.5e-5 * (1 + Math.log2(Math.max(1, ranks))),
    source:
      domain > 1
        ? `.35 of PCIe: NVLink joins only ${domain} GPUs (${node ? node.id : 'usual for this GPU'})`
        : '.35 of PCIe, as NCCL is set up by default',
  };
}

/**
 * A collective over several nodes is bound by what all network cards of one node carry together, at .7 of their rate, and 40 us a message
 * (estimates; rings use every card). Where the node is not known: 100 Gbit/s.
 */
function networkLink(gpu: GpuSpec, node: NodeSpec | undefined, local: GroupLink): GroupLink {
  const rate = node?.networkBytesPerSecond ?? assumedNetwork;
  const of = node?.networkBytesPerSecond ? `${node.id}, ${gigabits(rate)} Gbit/s a node` : '100 Gbit/s a node assumed';
  return {
    kind: 'network',
    bytesPerSecond: Math.min(rate * 0.7, local.bytesPerSecond),
    latencySeconds: 4e-5,
    source: `.7 of the network: ${of}, ${gpusPerNode(gpu, node)} GPUs in a node`,
  };
}

const assumedNetwork = 12.5e9;
const gigabits = (bytesPerSecond: number): number => Math.round((bytesPerSecond * 8) / 1e9);

export interface TransferInput {
  from: { gpu: GpuSpec; node?: NodeSpec | undefined; ranks: number };
  to: { gpu: GpuSpec; node?: NodeSpec | undefined; ranks: number };
  /** Both instances are in one node (or one NVLink domain). */
  together: boolean;
}

/**
 * Blocks moved from one instance to another, every rank to its counterpart at the same time: NVLink or PCIe peer-to-peer within a node, at
 * .7 and .5 of the nominal rate; between nodes each GPU has its share of the network cards, at .8 (RDMA writes of large blocks; estimates).
 */
export function transferLink({ from, to, together }: TransferInput): GroupLink {
  const lanes = Math.min(from.ranks, to.ranks);
  const ends = [from, to];
  if (together && ends.every(({ gpu, node }) => nvlinkDomain(gpu, node) >= from.ranks + to.ranks)) {
    const rate = Math.min(...ends.map(({ gpu }) => gpu.nvlinkBytesPerSecond! / 2)) * 0.7;
    return { kind: 'nvlink', bytesPerSecond: rate * lanes, latencySeconds: 1e-4, source: '.7 of NVLink, rank to rank' };
  }
  if (together) {
    const rate = Math.min(...ends.map(({ gpu }) => pcieBytesPerSecond(gpu))) * 0.5;
    return { kind: 'pcie', bytesPerSecond: rate * lanes, latencySeconds: 1e-4, source: '.5 of PCIe, rank to rank' };
  }
  const share = Math.min(
    ...ends.map(({ gpu, node, ranks }) => {
      const perGpu = (node?.networkBytesPerSecond ?? assumedNetwork) / gpusPerNode(gpu, node);
      return perGpu * Math.min(ranks, gpusPerNode(gpu, node)) * Math.ceil(ranks / gpusPerNode(gpu, node));
    }),
  );
  const known = ends.every(({ node }) => node?.networkBytesPerSecond !== undefined);
  return {
    kind: 'network',
    bytesPerSecond: share * 0.8,
    latencySeconds: 2e-4,
    source: `.8 of the GPUs' share of the network${known ? '' : ' (100 Gbit/s a node assumed)'}`,
  };
}

/** What copies between host and GPU reach of the nominal rate of PCIe; an estimate. */
export const hostCopyShare = 0.8;

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
