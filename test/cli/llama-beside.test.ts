// Draft models and multimodal projectors on the command line: what the llama-server line then says, what is counted, what is refused.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toMmproj } from '../../src/architecture/gguf/mmproj.ts';
import { expandArchitecture } from '../../src/architecture/index.ts';
import { findPreset } from '../../src/load/presets.ts';
import { writeGguf } from '../helpers/gguf-writer.ts';
import { expectCalm, expectRefused, vram } from './run.ts';

const base = ['plan', '--engine', 'llama.cpp', '-q', 'q4_k_m', '-g', 'rtx4090', '-c', '8192', '-np', '1', '-ngl', '99'];
const json = async (...args: string[]) => {
  const ran = await vram([...args, '--json']);
  expectCalm(ran);
  return JSON.parse(ran.out) as {
    result: Record<string, any>;
    diagnostics: { code: string; message: string; hint?: string }[];
  };
};

describe('--model-draft', () => {
  it('names the file of the draft and how it drafts, which new builds drop a draft without', async () => {
    const { result } = await json(
      ...base,
      '-m',
      'llama-3.1-8b',
      '-md',
      'llama-3.2-1b',
      '--draft-max',
      '8',
      '-ngld',
      '99',
    );
    expect(result.command).toContain('--model-draft ./Llama-3.2-1B-Q4_K_M.gguf');
    expect(result.command).toContain('--spec-type draft-simple');
    expect(result.command).toContain('--spec-draft-n-max 8');
    expect(result.command).toContain('--gpu-layers-draft 99');
    expect(result.command).not.toContain('quantization');
    expect(result.draft).toMatchObject({ model: expect.stringContaining('q4_k_m'), contexts: 1 });
    expect(result.draft.buffers.model).toEqual({ gpu0: 762.81, mapped: 205.49 });
    expect(result.buffers.model).toEqual({ gpu0: 4403.49, mapped: 281.81 });
  });

  it('takes a mix of its own, and is said as older builds take it', async () => {
    const args = [
      '-m',
      'llama-3.1-8b',
      '-md',
      'llama-3.2-1b',
      '--draft-quantization',
      'q8_0',
      '--draft',
      '8',
      '-cd',
      '2048',
    ];
    const { result } = await json(...base, '--engine', 'llama.cpp@b8390', ...args);
    expect(result.command).toContain('--model-draft ./Llama-3.2-1B-Q8_0.gguf');
    expect(result.command).toContain('--draft 8');
    expect(result.command).toContain('--ctx-size-draft 2048');
    expect(result.command).not.toContain('--spec-type');
  });

  it('warns of another vocabulary, and of options that the build has not', async () => {
    const { diagnostics } = await json(...base, '-m', 'llama-3.1-8b', '-md', 'qwen3-0.6b', '-cd', '2048');
    expect(diagnostics.map(({ code }) => code)).toEqual(expect.arrayContaining(['VRAM531', 'VRAM411']));
  });

  it('shows both in the table, within 80 columns', async () => {
    const ran = await vram([...base, '-m', 'qwen3.5-9b', '--spec-type', 'draft-mtp', '--mmproj', 'auto']);
    expectCalm(ran);
    expect(ran.out).toMatch(/^draft CUDA0 +32\.00/m);
    expect(ran.out).toMatch(/^projector CUDA0 +875\.6\d/m);
    expect(ran.out).toContain('Draft: the blocks of the model that predict further tokens');
    expect(ran.out).toMatch(/Projector on the first GPU: 875\.6\d MiB \+ 248\.10 MiB for a picture/);
    for (const line of ran.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    for (const format of ['html', 'markdown']) {
      const page = await vram([...base, '-m', 'qwen3.5-9b', '--mmproj', 'auto', '--format', format]);
      expect(page.out).toContain('projector CUDA0');
    }
  });

  it('refuses what it cannot read', async () => {
    expectRefused(await vram([...base, '-m', 'llama-3.1-8b', '-md', 'no-such-model-at-all']), 2, [
      /no-such-model-at-all/,
    ]);
    expectRefused(await vram([...base, '-m', 'llama-3.1-8b', '--spec-type', 'guess']), 2, [/VRAM145/]);
  });
});

describe('--mmproj', () => {
  it('is not loaded by itself: a note tells what it would take', async () => {
    const { result, diagnostics } = await json(...base, '-m', 'gemma-3-4b');
    expect(result.projector).toBeUndefined();
    expect(result.command).not.toContain('mmproj');
    expect(diagnostics.find(({ code }) => code === 'VRAM530')?.hint).toContain('0.91 GiB');
    const { diagnostics: none } = await json(...base, '-m', 'gemma-3-4b', '--no-mmproj');
    expect(none.some(({ code }) => code === 'VRAM530')).toBe(false);
  });

  it('auto is what the converter writes; on the CPU it leaves the GPU alone', async () => {
    const { result } = await json(...base, '-m', 'gemma-3-4b', '--mmproj', 'auto');
    expect(result.command).toMatch(/--mmproj \.\/mmproj-gemma-3-4b\S*-F16\.gguf/);
    expect(result.projector).toMatchObject({ place: 'gpu0', computeBytes: 121.25 * 1024 * 1024 });
    const { result: host } = await json(...base, '-m', 'gemma-3-4b', '--mmproj', 'q8_0', '--no-mmproj-offload');
    expect(host.command).toContain('--no-mmproj-offload');
    expect(host.projector.place).toBe('cpu');
    expect(host.projector.modelBytes).toBeLessThan(result.projector.modelBytes);
    expect(host.verdict.headroomBytes).toBeGreaterThan(result.verdict.headroomBytes);
  });

  it('a file of its own is read, also from its header alone', async () => {
    const spec = findPreset('models', 'qwen3.5-9b')!;
    const projector = toMmproj(spec, expandArchitecture(spec), 'bf16')!;
    const own = Object.entries(projector.metadata).map(([key, value]) => [`clip.${key}`, value as number | boolean]);
    const metadata = { 'general.architecture': 'clip', 'general.type': 'mmproj', ...Object.fromEntries(own) };
    const directory = mkdtempSync(join(tmpdir(), 'vram-'));
    const file = join(directory, 'mmproj-BF16.gguf');
    writeGguf(file, { metadata, tensors: projector.tensors }, { data: false });
    const { result } = await json(...base, '-m', 'qwen3.5-9b', '--mmproj', file);
    const { result: auto } = await json(...base, '-m', 'qwen3.5-9b', '--mmproj', 'bf16');
    expect(result.projector).toEqual(auto.projector);
    expect(result.command).toContain(`--mmproj ${file}`);
    expectRefused(await vram([...base, '-m', file]), 2, [/VRAM124/]);
    rmSync(directory, { recursive: true });
  });

  it('warns where the largest pictures would not fit any more', async () => {
    const small = ['plan', '--engine', 'llama.cpp', '-q', 'q4_k_m', '-g', 'rtx3060', '-np', '1', '-ngl', '99'];
    const { result, diagnostics } = await json(...small, '-m', 'qwen2.5-vl-7b', '--mmproj', 'f16', '-c', '81920');
    expect(result.verdict.fits).toBe(true);
    expect(diagnostics.map(({ code }) => code)).toContain('VRAM534');
  });

  it('refuses models without towers and files that are no projectors', async () => {
    expectRefused(await vram([...base, '-m', 'llama-3.1-8b', '--mmproj', 'auto']), 2, [/VRAM532/]);
    const directory = mkdtempSync(join(tmpdir(), 'vram-'));
    const file = join(directory, 'mmproj.gguf');
    writeFileSync(file, 'GGUF');
    expectRefused(await vram([...base, '-m', 'gemma-3-4b', '--mmproj', file]), 2, [/mmproj\.gguf/]);
    rmSync(directory, { recursive: true });
  });
});

it('an existing line with both is read', async () => {
  const line = 'llama-server -m gemma-3-4b -c 8192 -np 1 -ngl 99 --mmproj auto -md gemma-3-1b --no-mmproj-offload';
  const { result } = await json('plan', '--from-command', line, '-q', 'q4_k_m', '-g', 'rtx4090');
  expect(result.projector.place).toBe('cpu');
  expect(result.draft.contexts).toBe(1);
});
