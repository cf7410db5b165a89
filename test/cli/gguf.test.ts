// GGUF files on the command line: their tensors exactly, what other engines make of them, and what is said of a bad one.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tensorBytes } from '../../src/spec/ggml-types.ts';
import { smallModels } from '../helpers/gguf-models.ts';
import { ggufHeader, sourceOf, writeGguf } from '../helpers/gguf-writer.ts';
import { expectRefused, put, scratch, vram } from './run.ts';

const llama = smallModels.llama!;
const file = (name: string) => join(scratch, name);

interface Shown {
  tensors: { name: string; shape: number[]; count: number; role: string; type: string; bytes: number }[];
  types: { type: string; tensors: number; bytes: number }[];
}

async function tensorsOf(ref: string): Promise<Shown> {
  const ran = await vram(['show', 'model', ref, '--tensors', '--json']);
  expect(ran.code).toBe(0);
  return JSON.parse(ran.out).result as Shown;
}

describe.concurrent('a GGUF file', () => {
  it('shows its tensors with their types and bytes', async () => {
    writeGguf(file('shown.gguf'), sourceOf(llama));
    const { tensors, types } = await tensorsOf('shown.gguf');
    expect(tensors).toContainEqual({
      name: 'blk.{0..2}.attn_k.weight',
      shape: [256, 64],
      count: 3,
      role: 'k',
      type: 'q8_0',
      bytes: 3 * 64 * 8 * 34,
    });
    const bytes = llama.tensors.reduce((sum, { type, ne }) => sum + tensorBytes(type, ne), 0);
    expect(tensors.reduce((sum, row) => sum + row.bytes, 0)).toBe(bytes);
    expect(types.reduce((sum, row) => sum + row.bytes, 0)).toBe(bytes);
    expect(types.map(({ type, tensors: count }) => [type, count])).toEqual([
      ['q8_0', 23],
      ['f32', 7],
    ]);
  });

  it('shows a table and its sums', async () => {
    writeGguf(file('table.gguf'), sourceOf(llama));
    const { out, code } = await vram(['show', 'model', 'table.gguf', '--tensors']);
    expect(code).toBe(0);
    expect(out).toMatch(/^blk\.\{0\.\.2\}\.ffn_down\.weight +768 x 256 +3 +down +q8_0 +626,688$/m);
    expect(out).toMatch(/^all +30 +2,688,000 +0\.00 GiB$/m);
  });

  it('is a model for every other engine, in 16 bits, and says so', async () => {
    writeGguf(file('plan.gguf'), sourceOf(llama));
    const ran = await vram(['plan', '-m', 'plan.gguf', '-g', 'rtx4090', '--engine', 'vllm', '--json']);
    expect(ran.code).toBe(0);
    const { input, diagnostics } = JSON.parse(ran.out);
    expect(input.model).toMatchObject({ id: 'plan', architecture: 'LlamaForCausalLM' });
    expect(diagnostics.map(({ code }: { code: string }) => code)).toEqual(
      expect.arrayContaining(['VRAM120', 'VRAM128']),
    );
  });

  it('without its data opens, with a note of what is missing', async () => {
    writeGguf(file('head.gguf'), sourceOf(llama), { data: false });
    const ran = await vram(['plan', '-m', 'head.gguf', '-g', 'rtx4090', '--engine', 'vllm']);
    expect(ran.code).toBe(0);
    expect(ran.said).toContain('the header is there, 2688000 of 2688000 bytes of tensor data are not');
  });

  it('in parts is one model, whichever part is named', async () => {
    mkdirSync(file('parts'));
    const { metadata, tensors } = sourceOf(llama);
    const half = tensors.length / 2;
    for (const [no, some] of [tensors.slice(0, half), tensors.slice(half)].entries()) {
      const split = { 'split.no': no, 'split.count': 2, 'split.tensors.count': tensors.length };
      writeGguf(file(`parts/m-0000${no + 1}-of-00002.gguf`), {
        metadata: no === 0 ? { ...metadata, ...split } : split,
        tensors: some,
      });
    }
    const { types } = await tensorsOf('parts/m-00002-of-00002.gguf');
    expect(types.reduce((sum, row) => sum + row.tensors, 0)).toBe(tensors.length);
  });

  it.each([
    ['empty', Buffer.alloc(0), ['0']],
    ['cut off', ggufHeader(sourceOf(llama)).subarray(0, 500), ['cut off within', 'the file has 500']],
    ['something else', Buffer.from('\u001b[31mnothing of the sort'), ['no GGUF file']],
    ['of version 1', ggufHeader({ ...sourceOf(llama), version: 1 }), ['version 1 is no longer read']],
  ] as const)('that is %s is refused once, with its name', async (what, bytes, says) => {
    const name = put(`bad-${what.replace(/ /g, '-')}.gguf`, new Uint8Array(bytes));
    expectRefused(await vram(['plan', '-m', name, '-g', 'rtx4090']), 2, [name, ...says]);
    expectRefused(await vram(['show', 'model', name, '--tensors']), 2, [name, ...says]);
  });
});

describe('a safetensors directory', () => {
  it('shows the bytes of each type beside its tensors', async () => {
    const header = JSON.stringify({
      a: { dtype: 'BF16', shape: [8], data_offsets: [0, 16] },
      b: { dtype: 'F32', shape: [8], data_offsets: [16, 48] },
      c: { dtype: 'F32', shape: [2], data_offsets: [48, 56] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    put('st/model.safetensors', new Uint8Array(Buffer.concat([length, Buffer.from(header), Buffer.alloc(56)])));
    put(
      'st/config.json',
      JSON.stringify({
        model_type: 'llama',
        architectures: ['LlamaForCausalLM'],
        hidden_size: 64,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 64,
        vocab_size: 32,
      }),
    );
    const { types } = await tensorsOf('./st');
    expect(types).toEqual([
      { type: 'F32', tensors: 2, bytes: 40 },
      { type: 'BF16', tensors: 1, bytes: 16 },
    ]);
  });
});
