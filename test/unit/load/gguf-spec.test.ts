// A GGUF description read backwards: presets converted to GGUF and back have the same parameters and caches, and what no
// configuration can be is said to be planned for llama.cpp alone.
import { describe, expect, it } from 'vitest';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { specFromGguf } from '../../../src/load/gguf-spec.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import { sixteenBitNote } from '../../../src/load/sixteen-bit.ts';
import type { GgufModel } from '../../../src/spec/gguf.ts';
import { smallModels } from '../../helpers/gguf-models.ts';

/** Windows of every layer that the converter does not write: llama.cpp runs these models without. */
const windowLost = ['mistral-7b-v0.1', 'e5-mistral-7b-instruct', 'starcoder2-3b', 'starcoder2-7b'];

const converted = loadPresets('models').flatMap((preset) => {
  const architecture = expandArchitecture(preset);
  const model = toGguf(preset, architecture);
  return model ? [{ preset, architecture, model }] : [];
});
const readable = converted
  .map((one) => ({ ...one, read: specFromGguf(one.model, `${one.preset.id}.gguf`) }))
  .filter(({ read }) => !read.spec.architecture.startsWith('gguf:'));

describe('a preset as GGUF', () => {
  it('is read back as its architecture, for four of five', () => {
    expect(readable.length / converted.length).toBeGreaterThan(0.8);
  });

  it.each(readable.map((one) => [one.preset.id, one] as const))('%s keeps its parameters and caches', (id, one) => {
    expect(one.read.diagnostics).toEqual([]);
    const { spec } = one.read;
    expect(spec.id).toBe(id);
    expect(spec.config.layers).toBe(one.preset.config.layers);
    expect(spec.config.hiddenSize).toBe(one.preset.config.hiddenSize);
    if (!windowLost.includes(id)) expect(expandArchitecture(spec).caches).toEqual(one.architecture.caches);
  });
});

describe('the configuration read from a GGUF file', () => {
  const llama = smallModels.llama!;
  const changed = (metadata: GgufModel['metadata']): GgufModel => ({
    ...llama,
    metadata: { ...llama.metadata, ...metadata },
  });

  it('counts the parameters of the file', () => {
    // Embedding and output 2 x 512 x 256, norm 256; a block: q and o 2 x 256 x 256, k and v 2 x 256 x 64, FFN 3 x 256 x 768, norms.
    const block = 2 * 256 * 256 + 2 * 256 * 64 + 3 * 256 * 768 + 2 * 256;
    expect(specFromGguf(llama, 'a.gguf').spec.parameters).toBe(2 * 512 * 256 + 256 + 3 * block);
  });

  it('takes its name from the file, without the number of the part', () => {
    expect(specFromGguf(llama, 'My Model-Q4_K_M-00001-of-00003.gguf').spec.id).toBe('my-model-q4_k_m');
    const named = specFromGguf(changed({ 'general.name': 'A \u001b[2J name' }), 'a.gguf');
    expect(named.spec.name).toBe('A \\u001b[2J name');
  });

  it('of an architecture that is not known keeps the name', () => {
    const { spec, diagnostics } = specFromGguf({ ...llama, architecture: 'rwkv7' }, 'a.gguf');
    expect(spec.architecture).toBe('gguf:rwkv7');
    expect(diagnostics).toEqual([]);
    expect(specFromGguf({ ...llama, architecture: 'constructor' }, 'a.gguf').spec.architecture).toBe(
      'gguf:constructor',
    );
  });

  it.each([
    ['no heads', { 'attention.head_count': 0 }],
    ['heads that the KV heads do not divide', { 'attention.head_count_kv': 3 }],
    ['a negative width', { embedding_length: -256 }],
    ['half a block', { block_count: 2.5 }],
    ['a million blocks', { block_count: 1_000_000 }],
    ['texts for numbers', { embedding_length: 'many', block_count: 'few' }],
    ['lists for numbers', { embedding_length: [], block_count: [1, 2] }],
    ['no number at all', { embedding_length: Number.NaN }],
  ] as const)('with %s is no configuration, and says so', (_what, metadata) => {
    const { spec, diagnostics } = specFromGguf(changed(metadata), 'a.gguf');
    expect(spec.architecture).toBe('gguf:llama');
    expect(diagnostics.map(({ code }) => code)).toEqual(['VRAM127']);
  });

  it('that gives another number of parameters is an estimate', () => {
    const { spec, diagnostics } = specFromGguf(changed({ feed_forward_length: 1024 }), 'a.gguf');
    expect(spec.architecture).toBe('LlamaForCausalLM');
    expect(diagnostics[0]).toMatchObject({ severity: 'warning', code: 'VRAM127' });
    expect(diagnostics[0]!.message).toContain('are estimates');
  });

  it('is planned as 16 bit by other engines, and says so', () => {
    const { parameters = 0 } = specFromGguf(llama, 'a.gguf').spec;
    expect(sixteenBitNote(llama).message).toContain(`${2 * parameters} bytes`);
  });
});
