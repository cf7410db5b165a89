// What a machine is: so many GPUs of one kind, how far NVLink reaches, the network to the next machine, and what an hour of it costs.
// Facts about boxes and cloud instances live in presets/nodes, each with its source; what a price means is in plan/price.ts.

export const priceKinds = ['on-demand', 'spot', 'capacity-block', 'marketplace'] as const;
export type PriceKind = (typeof priceKinds)[number];

/** What an hour of the whole node costs, in US dollars. */
export interface NodePrice {
  kind: PriceKind;
  perHour: number;
  /** When the source had it. */
  date: string;
  source: string;
}

export interface NodeSpec {
  id: string;
  name: string;
  /** Instance names as the provider writes them. */
  aliases?: string[];
  provider: string;
  /** GPU preset. */
  gpu: string;
  /** GPUs in the node. */
  count: number;
  /**
   * GPUs that reach each other over NVLink (on AMD: Infinity Fabric): 8 on a board with NVSwitch, 2 where bridges join pairs, 1 where all
   * goes over PCIe, more than `count` where NVLink leaves the node (72 in an NVL72 rack).
   */
  nvlinkDomain: number;
  vcpus?: number;
  hostMemoryBytes?: number;
  /** To other nodes, one direction, all cards of the node together. */
  networkBytesPerSecond?: number;
  prices?: NodePrice[];
  sources?: string[];
  notes?: string[];
}
