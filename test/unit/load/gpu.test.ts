import { chmodSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VramError } from '../../../src/diagnostics.ts';
import { resolveGpus, withGpuMemory } from '../../../src/load/gpu.ts';
import { readMigListing, readNvidiaSmi, readRocmSmi, readSystemProfiler } from '../../../src/load/gpu-tools.ts';
import { loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { GiB, MiB } from '../../../src/units.ts';
import { inTemporary, problemsOf } from './helpers.ts';

const idsOf = async (ref: string) => (await resolveGpus(ref)).gpus.map((gpu) => gpu.id);

describe('names', () => {
  it.each([
    ['rtx4090', ['rtx4090']],
    ['RTX 4090', ['rtx4090']],
    ['4090', ['rtx4090']],
    ['NVIDIA GeForce RTX 4090', ['rtx4090']],
    ['h100', ['h100-sxm']],
    ['NVIDIA H100 80GB HBM3', ['h100-sxm']],
    ['NVIDIA H100 PCIe', ['h100-pcie']],
    ['NVIDIA A100-SXM4-80GB', ['a100-80gb-sxm']],
    ['NVIDIA A100-SXM4-40GB', ['a100-40gb-sxm']],
    ['a100-80gb', ['a100-80gb-sxm']],
    ['Tesla V100-SXM2-16GB', ['v100-16gb']],
    ['Tesla T4', ['t4']],
    ['AMD Instinct MI300X', ['mi300x']],
    ['NVIDIA GH200 480GB', ['gh200-96gb']],
    ['NVIDIA H100 80GB HBM3 MIG 1g.10gb', ['h100-80gb-mig-1g.10gb']],
    ['2x rtx4090', ['rtx4090', 'rtx4090']],
    ['2xh100', ['h100-sxm', 'h100-sxm']],
    ['rtx4090, rtx3090', ['rtx4090', 'rtx3090']],
    ['2x rtx4090,rtx3090', ['rtx4090', 'rtx4090', 'rtx3090']],
  ])('%s', async (ref, ids) => expect(await idsOf(ref)).toEqual(ids));

  it('finds every name that a tool prints', async () => {
    for (const gpu of loadPresets('gpus')) {
      for (const name of gpu.printedNames ?? []) {
        const same = loadPresets('gpus').filter((other) => other.printedNames?.includes(name));
        expect(same.map((other) => other.id)).toContain((await idsOf(name))[0]);
      }
    }
  });

  it('says when a name fits several cards', async () => {
    const { gpus, diagnostics } = await resolveGpus('NVIDIA GeForce RTX 3080');
    expect(gpus[0]!.id).toBe('rtx3080-10gb');
    expect(diagnostics[0]!.message).toContain('rtx3080-12gb');
  });

  it.each([
    ['rtx4091', 'VRAM105', 'rtx4090'],
    ['h10', 'VRAM105', 'h100'],
    ['', 'VRAM105', ''],
    ['0x rtx4090', 'VRAM109', ''],
    ['-2x rtx4090', 'VRAM109', ''],
    ['1.5x rtx4090', 'VRAM109', ''],
    ['99999x rtx4090', 'VRAM109', ''],
    ['rtx4090,', 'VRAM105', ''],
    ['$(reboot)', 'VRAM105', ''],
  ])('refuses %j', async (ref, code, near) => {
    const [problem] = await problemsOf(resolveGpus(ref));
    expect(problem!.code).toBe(code);
    expect(`${problem!.hint}`).toContain(near);
  });
});

describe('memory', () => {
  it('takes one total for all, or one for each', async () => {
    const { gpus } = await resolveGpus('2x rtx4090');
    expect(withGpuMemory(gpus, '23.65GiB').map((gpu) => gpu.cudaTotalBytes)).toEqual(
      Array(2).fill(Math.round(23.65 * GiB)),
    );
    expect(withGpuMemory(gpus, '10GiB,20GiB').map((gpu) => gpu.cudaTotalBytes)).toEqual([10 * GiB, 20 * GiB]);
    expect(() => withGpuMemory(gpus, '1GiB,2GiB,3GiB')).toThrow('3 sizes for 2 GPUs');
    expect(() => withGpuMemory(gpus, '0GiB')).toThrow('above zero');
  });
});

describe('a YAML spec', () => {
  const text =
    'id: my-card\nname: My card\nvendor: nvidia\ndriverTotalBytes: 25757220864\ncudaTotalBytes: 25386024960\n';
  it('is read', () =>
    inTemporary({ 'my.yaml': text }, async (cwd) => {
      const { gpus, from } = await resolveGpus('2x my.yaml', { cwd });
      expect(from).toBe('spec');
      expect(gpus.map((gpu) => gpu.cudaTotalBytes)).toEqual([25386024960, 25386024960]);
    }));
  it('is refused with places', () =>
    inTemporary({ 'my.yaml': `${text.replace('25757220864', '-1')}multiprocesors: 3\n` }, async (cwd) => {
      const problems = await problemsOf(resolveGpus('my.yaml', { cwd }));
      expect(problems.map(({ path, hint }) => [path, hint])).toEqual([
        ['my.yaml:4:19', undefined],
        ['my.yaml:6:1', 'did you mean multiprocessors?'],
      ]);
    }));
});

const nvidiaSmi = 'NVIDIA H100 80GB HBM3, 81559, 4\nNVIDIA H100 80GB HBM3, 81559, 1024\n';
const rocmSmi = `{"card0": {"VRAM Total Memory (B)": "206141652992", "VRAM Total Used Memory (B)": "283725824", "Card series": "AMD Instinct MI300X", "Card model": "0x74a1", "Card vendor": "Advanced Micro Devices, Inc. [AMD/ATI]", "Card SKU": "M3000100"}, "system": {}}`;
const systemProfiler = `{"SPDisplaysDataType": [{"_name": "Apple M2 Max", "spdisplays_mtlgpufamilysupport": "spdisplays_metal3", "sppci_cores": "38", "sppci_model": "Apple M2 Max"}], "SPHardwareDataType": [{"chip_type": "Apple M2 Max", "physical_memory": "64 GB"}]}`;

describe('what the tools print', () => {
  it('nvidia-smi', () => {
    expect(readNvidiaSmi(nvidiaSmi)[1]).toEqual({
      name: 'NVIDIA H100 80GB HBM3',
      vendor: 'nvidia',
      totalBytes: 81559 * MiB,
      usedBytes: 1024 * MiB,
    });
    expect(readNvidiaSmi('NVIDIA GB10, [N/A], [N/A]\n')).toEqual([{ name: 'NVIDIA GB10', vendor: 'nvidia' }]);
    expect(readNvidiaSmi('\n')).toEqual([]);
  });
  it('nvidia-smi -L with MIG', async () => {
    const listing = `GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1c1b)
  MIG 3g.40gb     Device  0: (UUID: MIG-2f1a)
  MIG 1g.10gb     Device  1: (UUID: MIG-77ce)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-9d02)
`;
    const names = readMigListing(listing, readNvidiaSmi(nvidiaSmi)).map((gpu) => gpu.name);
    expect(names).toEqual([
      'NVIDIA H100 80GB HBM3 MIG 3g.40gb',
      'NVIDIA H100 80GB HBM3 MIG 1g.10gb',
      'NVIDIA H100 80GB HBM3',
    ]);
    expect(await idsOf(names[0]!)).toEqual(['h100-80gb-mig-3g.40gb']);
  });
  it('rocm-smi', () => {
    expect(readRocmSmi(`WARNING: AMD GPU device(s) is/are in a low-power state\n${rocmSmi}`)).toEqual([
      { name: 'AMD Instinct MI300X', vendor: 'amd', totalBytes: 206141652992, usedBytes: 283725824 },
    ]);
    expect(readRocmSmi('nonsense')).toEqual([]);
  });
  it('system_profiler', () => {
    expect(readSystemProfiler(systemProfiler)).toEqual([
      { name: 'Apple M2 Max', vendor: 'apple', totalBytes: 64 * GiB },
    ]);
    expect(readSystemProfiler('{}')).toEqual([]);
  });
});

/** Runs `auto` with only the given commands on the path. */
async function auto(commands: Record<string, string>, body: (result: ReturnType<typeof resolveGpus>) => Promise<void>) {
  await inTemporary(commands, async (directory) => {
    for (const name of Object.keys(commands)) chmodSync(`${directory}/${name}`, 0o755);
    const result = resolveGpus('auto', { env: { PATH: directory } });
    result.catch(() => {});
    await body(result);
  });
}
const printing = (text: string) => `#!/bin/sh\n/bin/cat <<'EOF'\n${text}\nEOF\n`;

describe('auto', () => {
  it('asks nvidia-smi', () =>
    auto({ 'nvidia-smi': printing(nvidiaSmi) }, async (result) => {
      const { gpus, freeBytes, from } = await result;
      expect(from).toBe('machine');
      expect(gpus.map((gpu) => gpu.id)).toEqual(['h100-sxm', 'h100-sxm']);
      expect(freeBytes![1]).toBe(gpus[1]!.cudaTotalBytes - 1024 * MiB);
    }));

  it('picks the card by its memory', () =>
    auto({ 'nvidia-smi': printing('NVIDIA GeForce RTX 3080, 12288, 10') }, async (result) => {
      expect((await result).gpus[0]!.id).toBe('rtx3080-12gb');
    }));

  it('moves the CUDA total with the driver total (ECC on)', () =>
    auto({ 'nvidia-smi': printing('NVIDIA RTX A6000, 46068, 10') }, async (result) => {
      const preset = loadPreset('gpus', 'rtx-a6000');
      const hidden = preset.driverTotalBytes - preset.cudaTotalBytes;
      expect((await result).gpus[0]).toMatchObject({ id: 'rtx-a6000', cudaTotalBytes: 46068 * MiB - hidden });
    }));

  it('plans a card it does not know', () =>
    auto({ 'nvidia-smi': printing('NVIDIA Unheard Of 9000, 24576, 0') }, async (result) => {
      const { gpus, diagnostics } = await result;
      expect(gpus[0]).toMatchObject({ cudaTotalBytes: 24126 * MiB, cudaTotalConfidence: 'estimated' });
      expect(diagnostics[0]!.severity).toBe('warning');
    }));

  it('knows a GPU whose driver prints no total', () =>
    auto({ 'nvidia-smi': printing('NVIDIA GB10, [N/A], [N/A]') }, async (result) => {
      const { gpus, freeBytes } = await result;
      expect([gpus[0]!.id, freeBytes]).toEqual(['dgx-spark-gb10', undefined]);
    }));

  it('asks rocm-smi, then system_profiler', async () => {
    await auto({ 'rocm-smi': printing(rocmSmi) }, async (result) => {
      expect((await result).gpus[0]!.id).toBe('mi300x');
    });
    await auto({ system_profiler: printing(systemProfiler) }, async (result) => {
      expect((await result).gpus[0]!.id).toBe('m2-max-64gb');
    });
  });

  it('says why there is none', async () => {
    await auto({}, async (result) => {
      await expect(result).rejects.toMatchObject({ name: 'VramError', code: 'VRAM191' });
    });
    const failing =
      '#!/bin/sh\necho "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver." \nexit 9\n';
    await auto({ 'nvidia-smi': failing }, async (result) => {
      await expect(result).rejects.toBeInstanceOf(VramError);
      await expect(result).rejects.toThrow("couldn't communicate with the NVIDIA driver");
    });
  });
});
