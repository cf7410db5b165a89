// The flags of llama-server by build, lines generated for a build, and existing lines read as that build would read them. Judged by
// what the builds' own help and release notes say, and by lines that people published.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildNumber, readBuilds } from '../../../src/engines/llamacpp/builds.ts';
import { emitLlamaFlags, llamaCommand } from '../../../src/engines/llamacpp/emit.ts';
import { type LlamaFlagTable, llamaFlagIndex } from '../../../src/engines/llamacpp/flags.ts';
import { type ReadLlamaCommand, readLlamaCommand } from '../../../src/engines/llamacpp/from-command.ts';
import type { LlamaOptions } from '../../../src/engines/llamacpp/types.ts';
import { splitCommand } from '../../../src/engines/vllm/launcher.ts';

const table = parse(
  readFileSync(new URL('../../../presets/engines/llamacpp-flags.yaml', import.meta.url), 'utf8'),
) as LlamaFlagTable;

function index(build: string) {
  return llamaFlagIndex(table, buildNumber(build)!, 'llama-server');
}

function emit(options: LlamaOptions, build: string) {
  return emitLlamaFlags({ options, table, build: buildNumber(build)!, buildName: build });
}

function line(options: LlamaOptions, build: string): string {
  return emit(options, build)
    .flags.map(({ flag, value }) => (value === null ? flag : `${flag} ${value}`))
    .join(' ');
}

function read(text: string, build = 'v0.5.0'): ReadLlamaCommand {
  return readLlamaCommand({ words: splitCommand(text, /llama/), table, build: buildNumber(build)! });
}

describe('flags by build', () => {
  it.each([
    // tools/server/README.md of today.
    ['v0.5.0', '-c', 'LLAMA_ARG_CTX_SIZE', '0'],
    ['v0.5.0', '-np', 'LLAMA_ARG_N_PARALLEL', '-1'],
    ['v0.5.0', '-ub', 'LLAMA_ARG_UBATCH', '512'],
    ['v0.5.0', '-fa', 'LLAMA_ARG_FLASH_ATTN', 'auto'],
    ['v0.5.0', '-fitt', 'LLAMA_ARG_FIT_TARGET', '1024'],
    ['v0.5.0', '-fitc', 'LLAMA_ARG_FIT_CTX', '4096'],
    ['v0.5.0', '-lm', 'LLAMA_ARG_LOAD_MODE', 'auto'],
    ['v0.5.0', '-cram', 'LLAMA_ARG_CACHE_RAM', '8192'],
    ['b10361', '-lm', 'LLAMA_ARG_LOAD_MODE', 'mmap'],
    // The help of 2025-02: context 4096, one slot, no layer on the GPU unless asked.
    ['b4753', '-c', 'LLAMA_ARG_CTX_SIZE', '4096'],
    ['b4753', '-np', 'LLAMA_ARG_N_PARALLEL', '1'],
    ['b4753', '-ngl', 'LLAMA_ARG_N_GPU_LAYERS', '0'],
    ['b6673', '-ngl', 'LLAMA_ARG_N_GPU_LAYERS', '999'],
  ])('%s %s: %s, default %s', (build, name, env, value) => {
    expect(index(build).get(name)?.flag).toMatchObject({ env, default: value });
  });

  it.each([
    ['--no-mmap', ['b4753', 'b5640', 'b6673', 'b8390', 'b10068', 'b10361']],
    ['--load-mode', ['b10361', 'v0.5.0']],
    ['--fit', ['b8390', 'b10068', 'b10361', 'v0.5.0']],
    ['--override-tensor', ['b5640', 'b6673', 'b8390', 'b10068', 'b10361', 'v0.5.0']],
    ['--n-cpu-moe', ['b6673', 'b8390', 'b10068', 'b10361', 'v0.5.0']],
    ['--kv-unified-per-slot', ['v0.5.0']],
  ])('%s', (name, builds) => {
    expect(readBuilds.filter((build) => index(build).has(name))).toEqual(builds);
  });

  it('a build between two read ones stands as the earlier', () => {
    expect(index('b7000').has('--fit')).toBe(false);
    expect(index('b9000').get('-fa')?.flag.choices).toEqual(['on', 'off', 'auto']);
  });
});

describe('generated lines', () => {
  it('-fa was a switch', () => {
    expect(line({ flashAttn: 'on' }, 'b5640')).toBe('--flash-attn');
    expect(line({ flashAttn: 'off' }, 'b5640')).toBe('');
    expect(line({ flashAttn: 'on' }, 'b6673')).toBe('--flash-attn on');
    expect(emit({ flashAttn: 'auto' }, 'b5640').diagnostics).toMatchObject([{ code: 'VRAM412', path: '--flash-attn' }]);
  });

  it('all layers', () => {
    expect(line({ gpuLayers: 'all' }, 'b4753')).toBe('--n-gpu-layers 999');
    expect(line({ gpuLayers: 'all' }, 'v0.5.0')).toBe('--n-gpu-layers all');
    expect(line({ gpuLayers: 20 }, 'v0.5.0')).toBe('--n-gpu-layers 20');
  });

  it('no mmap', () => {
    expect(line({ noMmap: true }, 'b10068')).toBe('--no-mmap');
    expect(line({ noMmap: true }, 'b10361')).toBe('--load-mode none');
    expect(line({ noMmap: true }, 'v0.5.0')).toBe('--load-mode none');
  });

  it('experts on the CPU: a pattern before there was a flag, nothing before there were patterns', () => {
    expect(line({ cpuMoe: true }, 'v0.5.0')).toBe('--cpu-moe');
    expect(line({ cpuMoeLayers: 2 }, 'b5640')).toMatch(/^--override-tensor blk\\\.0\\\.ffn.*=CPU,blk\\\.1/);
    expect(emit({ cpuMoe: true }, 'b4753').diagnostics).toMatchObject([{ code: 'VRAM411', path: '--cpu-moe' }]);
  });

  it('caches per slot', () => {
    expect(line({ kvUnified: false, parallel: 4 }, 'v0.5.0')).toBe('--parallel 4 --no-kv-unified');
    expect(line({ kvUnified: false }, 'b6673')).toBe('');
    expect(line({ kvUnified: true }, 'b5640')).toBe('');
    expect(emit({ kvUnified: false }, 'b5640').diagnostics).toMatchObject([{ code: 'VRAM411' }]);
  });

  it('a value that the build does not take', () => {
    expect(emit({ splitMode: 'tensor' }, 'b8390').diagnostics).toMatchObject([
      { code: 'VRAM412', path: '--split-mode' },
    ]);
    expect(line({ splitMode: 'tensor' }, 'b10068')).toBe('--split-mode tensor');
    expect(emit({ fit: true }, 'b6673').diagnostics).toMatchObject([{ code: 'VRAM411', path: '--fit' }]);
    expect(line({ fit: false }, 'b6673')).toBe('');
  });

  it('every word is one word of the shell', () => {
    const { flags } = emit({ overrideTensor: [{ pattern: '\\.ffn_(up|down)_exps', place: 'CPU' }] }, 'v0.5.0');
    const command = llamaCommand({ model: "/m/it's $(rm -rf ~)\n.gguf", flags });
    expect(command).toBe(
      "llama-server --model '/m/it'\\''s $(rm -rf ~)\ufffd.gguf' --override-tensor '\\.ffn_(up|down)_exps=CPU'",
    );
    expect(splitCommand(command, /llama/)).toHaveLength(5);
  });

  const full: LlamaOptions = {
    ctxSize: 32768,
    parallel: 4,
    batch: 4096,
    ubatch: 1024,
    flashAttn: 'on',
    cacheTypeK: 'q8_0',
    cacheTypeV: 'q8_0',
    gpuLayers: 30,
    splitMode: 'layer',
    tensorSplit: [3, 1],
    mainGpu: 1,
    noKvOffload: true,
    embedding: true,
    noMmap: true,
  };
  it.each(readBuilds)('%s reads back what was generated for it', (build) => {
    const { flags, diagnostics } = emit(full, build);
    const command = llamaCommand({ model: '/models/a model.gguf', flags });
    const back = read(command, build);
    expect(diagnostics).toEqual([]);
    expect(back).toMatchObject({ options: full, unknown: [], otherBuild: [], diagnostics: [] });
    expect(back.model).toEqual({ path: '/models/a model.gguf' });
  });
});

describe('existing lines', () => {
  it('ggml-org/llama.cpp pull 15077, comment of 2025-08-07', () => {
    const command = read(
      'llama-server -hf ggml-org/gpt-oss-120b-GGUF --ctx-size 0 --jinja --flash-attn --n-gpu-layers 99 --reasoning-format none --n-cpu-moe 3',
      'b6110',
    );
    expect(command).toMatchObject({
      program: 'llama-server',
      model: { hfRepo: 'ggml-org/gpt-oss-120b-GGUF' },
      options: { ctxSize: 0, cpuMoeLayers: 3, flashAttn: 'on', gpuLayers: 99 },
      others: [
        { flag: '--jinja', value: true },
        { flag: '--reasoning-format', value: 'none' },
      ],
      unknown: [],
      otherBuild: [],
    });
  });

  it('ggml-org/llama.cpp pull 15181, comment of 2025-08-11', () => {
    const command = read(
      `./build/bin/llama-server \\
    --model /data/gpt-oss-120b-GGUF/ggml-org/gpt-oss-120b-mxfp4-00001-of-00003.gguf \\
    --alias gpt-oss-120b-mxfp4 \\
    --no-webui --numa numactl --threads 32 \\
    --ctx-size 131072 \\
    --n-gpu-layers 37 \\
    -ot "exps.*\\.blk.*\\.ffn_.*=CUDA0" \\
    --no-op-offload \\
    -ub 4096 -b 4096 \\
    --seed 3407 --temp 0.6 --top-p 1.0 --top-k 0 --log-colors --flash-attn --host 0.0.0.0 --jinja \\
    --chat-template-kwargs '{"reasoning_effort": "high"}' --reasoning-format none --port 11434`,
      'b6140',
    );
    expect(command.unknown).toEqual([]);
    expect(command.otherBuild).toEqual([]);
    expect(command.diagnostics).toEqual([]);
    expect(command.options).toEqual({
      ctxSize: 131072,
      gpuLayers: 37,
      overrideTensor: [{ pattern: 'exps.*\\.blk.*\\.ffn_.*', place: 'CUDA0' }],
      noOpOffload: true,
      batch: 4096,
      ubatch: 4096,
      flashAttn: 'on',
    });
    expect(command.others.find(({ flag }) => flag === '--chat-template-kwargs')?.value).toBe(
      '{"reasoning_effort": "high"}',
    );
  });

  it('-fa without a value is a switch only where it was one', () => {
    expect(read('./llama-server -m a.gguf -fa -c 4096', 'b5640').options).toEqual({ flashAttn: 'on', ctxSize: 4096 });
    const later = read('./llama-server -m a.gguf -fa -c 4096', 'v0.5.0');
    expect(later.diagnostics.length + later.unknown.length).toBeGreaterThan(0);
    expect(read('llama-server -m a.gguf -fa on', 'b5640')).toMatchObject({
      options: { flashAttn: 'on' },
      otherBuild: [{ flag: '-fa on', since: 'b6673' }],
    });
  });

  it('every spelling', () => {
    for (const ngl of ['-ngl 12', '--gpu-layers 12', '--n-gpu-layers 12', '--n_gpu_layers 12', '--n-gpu-layers=12'])
      expect(read(`llama-server -m a.gguf ${ngl}`).options, ngl).toEqual({ gpuLayers: 12 });
    expect(read('llama-server -m a -no-kvu -nkvo --no-op-offload').options).toEqual({
      kvUnified: false,
      noKvOffload: true,
      noOpOffload: true,
    });
    expect(read('llama-server -m a -lm none').options.noMmap).toBe(true);
    expect(read('llama-server -m a -nkvo -kvo', 'b8390').options.noKvOffload).toBe(false);
    expect(read('llama-server -m a -c 4096 -c 8192').options.ctxSize).toBe(8192);
    expect(read('llama-server -m a -ot exps=CPU -ts 3/1').options).toEqual({
      overrideTensor: [{ pattern: 'exps', place: 'CPU' }],
      tensorSplit: [3, 1],
    });
  });

  it('unknown flags, flags of other builds, values that cannot be read', () => {
    const command = read('llama-server -m a.gguf --moe-cache-mib 4096 --no-mmap -ctk q9_0 --mlock');
    expect(command.unknown).toEqual(['--moe-cache-mib']);
    expect(command.otherBuild).toMatchObject([
      { flag: '--mmap', until: 'b10361', use: '--load-mode mmap or none' },
      { flag: '--mlock', until: 'b10361' },
    ]);
    expect(command.diagnostics).toMatchObject([{ code: 'VRAM145' }]);
  });

  it('the environment, under the line', () => {
    const command = read('LLAMA_ARG_CTX_SIZE=8192 LLAMA_ARG_FLASH_ATTN=off llama-server -m a.gguf -fa on');
    expect(command.options).toEqual({ ctxSize: 8192, flashAttn: 'on' });
    expect(read('LLAMA_ARG_NO_MMAP=1 llama-server -m a', 'b6673').options.noMmap).toBe(true);
    expect(read('LLAMA_ARG_KV_OFFLOAD=0 llama-server -m a').options.noKvOffload).toBe(true);
  });

  it('containers, and the build that an image names', () => {
    const command = read(
      'docker run --gpus all -e LLAMA_ARG_CTX_SIZE=4096 -v ./models:/models -p 8080:8080 ghcr.io/ggml-org/llama.cpp:server-cuda-b5640 -m /models/x.gguf -ngl 99',
    );
    expect(command).toMatchObject({
      program: 'llama-server',
      build: 'b5640',
      options: { ctxSize: 4096, gpuLayers: 99 },
      model: { path: '/models/x.gguf' },
    });
    expect(read('docker run --gpus 2 ghcr.io/ggml-org/llama.cpp:full-cuda --run -m x.gguf')).toMatchObject({
      program: 'llama-cli',
      gpuCount: 2,
      options: { program: 'llama-cli' },
    });
    expect(read('llama serve -m x.gguf -c 1024').options).toEqual({ ctxSize: 1024 });
  });

  it('another program', () => {
    expect(() => read('vllm serve llama')).toThrow(/does not start llama.cpp/);
  });
});
