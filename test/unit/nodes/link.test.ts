// Which link a group of ranks uses, against the topologies that vendors publish: 8 GPUs behind NVSwitch, bridges in pairs, 72 in a rack.
import { describe, expect, it } from 'vitest';
import { groupLink, nvlinkDomain, transferLink } from '../../../src/accounting/link.ts';
import { findPreset, loadPreset } from '../../../src/load/presets.ts';

const gpu = (id: string) => loadPreset('gpus', id);
const node = (id: string) => findPreset('nodes', id)!;

describe('groupLink', () => {
  it.each([
    ['h100-sxm', 'hgx-h100', 8, 'nvlink'],
    ['h100-sxm', 'hgx-h100', 16, 'network'],
    ['h100-sxm', undefined, 8, 'nvlink'],
    ['h100-sxm', undefined, 16, 'network'],
    // Bridges join pairs: a ring over more of them crosses PCIe.
    ['rtx-a6000', undefined, 2, 'nvlink'],
    ['rtx-a6000', undefined, 4, 'pcie'],
    ['a100-80gb-pcie', 'hyperstack-n3-a100x8-nvlink', 2, 'nvlink'],
    ['a100-80gb-pcie', 'hyperstack-n3-a100x8-nvlink', 8, 'pcie'],
    ['a100-80gb-pcie', 'hyperstack-n3-a100x8', 2, 'pcie'],
    ['l40s', 'g6e.48xlarge', 8, 'pcie'],
    ['l40s', 'g6e.12xlarge', 8, 'network'],
    // An NVL72 rack: NVLink leaves the tray.
    ['gb200', 'gb200-nvl72-tray', 8, 'nvlink'],
    ['gb200', 'gb200-nvl72-tray', 72, 'nvlink'],
    ['gb200', 'gb200-nvl72-tray', 76, 'network'],
    ['mi300x', 'mi300x-platform', 8, 'nvlink'],
    ['rtx4090', undefined, 2, 'pcie'],
  ])('%s in %s: %i ranks over %s', (id, name, ranks, kind) => {
    expect(groupLink({ gpu: gpu(id), node: name ? node(name) : undefined, ranks }).kind).toBe(kind);
  });

  it('takes the rate of the slowest link: all cards of a node between nodes, never more than inside', () => {
    const p5 = groupLink({ gpu: gpu('h100-sxm'), node: node('p5.48xlarge'), ranks: 16 });
    expect(p5.bytesPerSecond).toBeCloseTo(0.7 * 400e9, -6);
    const t4 = groupLink({ gpu: gpu('t4'), node: node('g4dn.12xlarge'), ranks: 8 });
    expect(t4.bytesPerSecond).toBeLessThanOrEqual(groupLink({ gpu: gpu('t4'), ranks: 2 }).bytesPerSecond);
  });

  it('is never faster for more ranks', () => {
    for (const id of ['h100-sxm', 'rtx3090', 'l4', 'gb300', 'h200-nvl']) {
      const rates = [1, 2, 4, 8, 16, 64, 128].map((ranks) => groupLink({ gpu: gpu(id), ranks }).bytesPerSecond);
      expect(rates).toEqual([...rates].sort((a, b) => b - a));
    }
  });
});

describe('transferLink', () => {
  it('is NVLink within a board, PCIe between cards, the network between nodes', () => {
    const of = (id: string, name: string | undefined, ranks: number, together: boolean) => {
      const end = { gpu: gpu(id), node: name ? node(name) : undefined, ranks };
      return transferLink({ from: end, to: end, together });
    };
    expect(of('h100-sxm', 'hgx-h100', 4, true).kind).toBe('nvlink');
    expect(of('l40s', 'g6e.48xlarge', 4, true).kind).toBe('pcie');
    // Eight cards of 400 Gbit/s: a rank has one of them.
    expect(of('h100-sxm', 'p5.48xlarge', 1, false)).toMatchObject({ kind: 'network', bytesPerSecond: 40e9 });
    expect(of('h100-sxm', 'p5.48xlarge', 8, false).bytesPerSecond).toBeCloseTo(320e9, -3);
  });
});

describe('node presets', () => {
  it('have no NVLink where their GPU has none', () => {
    expect(nvlinkDomain(gpu('l40s'), node('hgx-h100'))).toBe(1);
  });
});
