// The loading behaviours of presets/loading/ and what their figures can be held to: the sources of ollama and llama-swap, and the times
// that vLLM's sleep mode took (blog.vllm.ai/2025/10/26/sleep-mode.html, the data behind its charts), which the presets' laws must meet.
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pcieBytesPerSecond } from '../../../src/accounting/link.ts';
import { run as completion } from '../../../src/commands/completion.ts';
import { run as list } from '../../../src/commands/list.ts';
import { run as schema } from '../../../src/commands/schema.ts';
import { run as show } from '../../../src/commands/show.ts';
import { findLoading, resolveLoading } from '../../../src/load/loading.ts';
import { findPreset, loadPresets } from '../../../src/load/presets.ts';
import { LoadLinks } from '../../../src/sim/sharing/load-links.ts';
import type { SharedModel } from '../../../src/sim/sharing/types.ts';
import { inProcess } from '../../ground-truth/in-process.ts';

/** Seconds of waking a sleeping model, or of waking it and reading its weights anew. */
function wakeSeconds(gpu: string, bytes: number, fromDisk = false): number {
  const loading = findLoading('vllm-sleep');
  // As step times have it: .8 of the nominal rate.
  const hostRate = 0.8 * pcieBytesPerSecond(findPreset('gpus', gpu)!);
  const weights = { place: 'host', hostRate, diskRate: loading.diskRate, preloadAt: [] };
  const links = new LoadLinks([{ devices: [0], weights } as unknown as SharedModel], loading);
  return loading.startSeconds[fromDisk ? 'disk' : 'host'] + links.weightSeconds(0, bytes, fromDisk);
}

// Parameters x 2 bytes: Qwen3-0.6B 0.596e9 (tied), Phi-3-vision 4.15e9, Qwen3-Coder-30B-A3B 30.53e9.
const [small, vision, coder] = [1.19e9, 8.29e9, 61.06e9];

describe('loading behaviours', () => {
  it('are all there, each with its sources', () => {
    const ids = loadPresets('loading').map(({ id }) => id);
    expect(ids).toEqual(
      readdirSync('presets/loading')
        .map((file) => file.replace('.yaml', ''))
        .sort(),
    );
    expect(ids).toEqual(['aegaeon', 'llama-swap', 'ollama', 'resident', 'vllm-sleep']);
    for (const { sources, summary } of loadPresets('loading')) {
      expect(sources.length).toBeGreaterThan(0);
      expect(summary).toMatch(/^[A-Z].*\.$/);
    }
  });

  it('are those of the servers: keep-alive, number of models, who goes', () => {
    // envconfig/config.go, server/sched.go; config.example.yaml: ttl 0, groups that swap.
    expect(findLoading('ollama')).toMatchObject({
      keepAliveSeconds: 300,
      maxLoaded: 3,
      maxLoadedPerGpu: true,
      drains: true,
    });
    expect(findLoading('Llama Swap')).toMatchObject({ keepAliveSeconds: null, maxLoaded: 1, drains: false });
    expect(findLoading('aegaeon')).toMatchObject({ unloads: 'busy', quantumSeconds: 4 });
    expect(findLoading('resident')).toMatchObject({ unloads: 'never', keepAliveSeconds: null });
  });

  it('wake sleeping models in the time that was measured', () => {
    // A100: 2.85 to 2.89 s; the small ones differ more, being mostly start: 0.10 s on A4000, 0.26 s on A100.
    expect(wakeSeconds('a100-80gb', coder) / 2.87).toBeCloseTo(1, 1);
    expect(wakeSeconds('rtx-a4000', small)).toBeGreaterThan(0.1);
    expect(wakeSeconds('a100-80gb', small)).toBeLessThan(0.26);
    expect(wakeSeconds('a100-80gb', vision)).toBeLessThan(0.82);
    expect(wakeSeconds('a100-80gb', vision)).toBeGreaterThan(0.82 / 2);
    // Level 2 reads them from disk: 0.78 to 0.91 s and 2.55 to 2.62 s.
    expect(wakeSeconds('a100-80gb', small, true)).toBeCloseTo(0.8, 1);
    expect(wakeSeconds('a100-80gb', vision, true)).toBeCloseTo(2.58, 1);
  });
});

describe('the loading behaviour of a pool file', () => {
  it('is a preset, a preset with fields of its own, or fields alone', () => {
    expect(resolveLoading({ preset: 'ollama' })).toEqual(findLoading('ollama'));
    expect(resolveLoading({ preset: 'ollama', keepAliveSeconds: 60 })).toMatchObject({
      id: 'ollama',
      keepAliveSeconds: 60,
      maxLoaded: 3,
    });
    expect(resolveLoading({ maxLoaded: 2 })).toMatchObject({ id: 'own', maxLoaded: 2, unloads: 'idle-lru' });
  });

  it('takes turns with a quantum only', () => {
    expect(resolveLoading({ preset: 'aegaeon', unloads: 'idle-lru' }).quantumSeconds).toBeNull();
    expect(resolveLoading({ preset: 'ollama', unloads: 'busy', quantumSeconds: 2 }).quantumSeconds).toBe(2);
    expect(() => resolveLoading({ preset: 'ollama', unloads: 'busy' }, 'pool.yaml: loading')).toThrow(
      expect.objectContaining({
        diagnostics: [expect.objectContaining({ code: 'VRAM746', path: 'pool.yaml: loading' })],
      }),
    );
    expect(() => resolveLoading({ preset: 'ollama', quantumSeconds: 2 })).toThrow(/take turns.*idle-fixed/);
  });

  it('that does not exist is refused with the nearest one', () => {
    expect(() => findLoading('olama')).toThrow(
      expect.objectContaining({
        diagnostics: [
          expect.objectContaining({
            code: 'VRAM745',
            message: 'there is no loading behaviour "olama"',
            hint: 'did you mean ollama? (vram list loading)',
          }),
        ],
      }),
    );
  });
});

describe('commands', () => {
  it('list, show, complete and describe them', async () => {
    const listed = await inProcess(list, ['loading']);
    expect(listed.out).toMatch(/^ollama +Loads on the first request/m);
    for (const line of listed.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    const json = JSON.parse((await inProcess(list, ['loading', '--json'])).out);
    expect(json.result.loading.map(({ id }: { id: string }) => id)).toContain('vllm-sleep');
    expect((await inProcess(show, ['loading', 'ollama'])).out).toMatch(/^keepAliveSeconds: 300$/m);
    expect((await inProcess(completion, ['--names', 'loading'])).out.split('\n')).toContain('aegaeon');
    const described = JSON.parse((await inProcess(schema, ['loading'])).out);
    expect(described.properties.unloads.enum).toEqual(['never', 'idle-lru', 'idle-fixed', 'busy']);
  });
});
