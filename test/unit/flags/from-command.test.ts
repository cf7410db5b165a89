// Existing deployments as people publish them: model cards, READMEs, compose files, issue reports. Each line is read as the
// parser of its release reads it.
import { describe, expect, it } from 'vitest';
import {
  overConfig,
  type ReadCommand,
  readCommand,
  readConfigFile,
  splitCommand,
} from '../../../src/engines/vllm/from-command.ts';
import { vllmFlags } from '../../../src/load/flags.ts';
import { planJson } from '../../ground-truth/in-process.ts';

const read = (line: string, release = '0.19.1'): ReadCommand => readCommand(splitCommand(line), vllmFlags(), release);
const options = ({ options: list }: ReadCommand): Record<string, unknown> =>
  Object.fromEntries(list.map(({ flag, value }) => [flag.slice(2), value]));

interface Line {
  line: string;
  release?: string;
  model: string;
  options?: Record<string, unknown>;
  gpuCount?: number;
  env?: Record<string, string>;
  version?: string;
  unknown?: string[];
  other?: string[];
}

const lines: Line[] = [
  { line: 'vllm serve Qwen/Qwen3-8B', model: 'Qwen/Qwen3-8B' },
  {
    line: 'vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192 --gpu-memory-utilization 0.95',
    model: 'meta-llama/Llama-3.1-8B-Instruct',
    options: { 'max-model-len': '8192', 'gpu-memory-utilization': '0.95' },
  },
  {
    line: 'vllm serve Qwen/Qwen3-235B-A22B-FP8 -tp 4 --enable-expert-parallel --max-model-len=32k --port 8001',
    model: 'Qwen/Qwen3-235B-A22B-FP8',
    options: { 'tensor-parallel-size': '4', 'enable-expert-parallel': true, 'max-model-len': '32k', port: '8001' },
  },
  {
    line: `vllm serve deepseek-ai/DeepSeek-R1 \\
      --tensor-parallel-size 8 \\
      --trust_remote_code \\
      --max_num_seqs=64 \\
      --gpu_memory_utilization 0.92`,
    model: 'deepseek-ai/DeepSeek-R1',
    options: {
      'tensor-parallel-size': '8',
      'trust-remote-code': true,
      'max-num-seqs': '64',
      'gpu-memory-utilization': '0.92',
    },
  },
  {
    line: 'python -m vllm.entrypoints.openai.api_server --model mistralai/Mistral-7B-Instruct-v0.2 --dtype half --quantization gptq',
    release: '0.6.3.post1',
    model: 'mistralai/Mistral-7B-Instruct-v0.2',
    options: { dtype: 'half', quantization: 'gptq' },
  },
  {
    line: 'CUDA_VISIBLE_DEVICES=0,1 VLLM_USE_V1=0 python3 -m vllm.entrypoints.openai.api_server --model=Qwen/Qwen2.5-7B -tp 2 --swap-space 16',
    release: '0.8.5.post1',
    model: 'Qwen/Qwen2.5-7B',
    options: { 'tensor-parallel-size': '2', 'swap-space': '16' },
    gpuCount: 2,
    env: { CUDA_VISIBLE_DEVICES: '0,1', VLLM_USE_V1: '0' },
  },
  {
    line: `docker run --runtime nvidia --gpus all \\
    -v ~/.cache/huggingface:/root/.cache/huggingface \\
    --env "HUGGING_FACE_HUB_TOKEN=hf_abc" -p 8000:8000 --ipc=host \\
    vllm/vllm-openai:v0.11.0 --model mistralai/Mistral-7B-v0.1 --max-model-len 16k`,
    release: '0.11.0',
    model: 'mistralai/Mistral-7B-v0.1',
    options: { 'max-model-len': '16k' },
    version: '0.11.0',
    env: {},
  },
  {
    line: `docker run -d --name vllm --gpus '"device=0,1"' --shm-size 16g -e VLLM_ATTENTION_BACKEND=FLASHINFER --network vllm-net vllm/vllm-openai:v0.10.2 --model Qwen/Qwen3-32B --tensor-parallel-size 2 --kv-cache-dtype fp8`,
    release: '0.10.2',
    model: 'Qwen/Qwen3-32B',
    options: { 'tensor-parallel-size': '2', 'kv-cache-dtype': 'fp8' },
    gpuCount: 2,
    version: '0.10.2',
    env: { VLLM_ATTENTION_BACKEND: 'FLASHINFER' },
  },
  {
    line: 'sudo docker run --rm -it --gpus=4 --entrypoint vllm vllm/vllm-openai:v0.14.1-x86_64 serve openai/gpt-oss-120b -tp=4',
    release: '0.14.1',
    model: 'openai/gpt-oss-120b',
    options: { 'tensor-parallel-size': '4' },
    gpuCount: 4,
    version: '0.14.1',
  },
  {
    line: `docker run --gpus all vllm/vllm-openai:v0.12.0 bash -c "pip install foo && vllm serve google/gemma-3-27b-it --max-model-len 8192 --limit-mm-per-prompt '{\\"image\\": 2}'"`,
    release: '0.12.0',
    model: 'google/gemma-3-27b-it',
    options: { 'max-model-len': '8192', 'limit-mm-per-prompt': '{"image": 2}' },
  },
  {
    line: 'podman run --device nvidia.com/gpu=all docker.io/vllm/vllm-openai:v0.17.1 --model Qwen/Qwen3-8B --enforce-eager',
    release: '0.17.1',
    model: 'Qwen/Qwen3-8B',
    options: { 'enforce-eager': true },
    version: '0.17.1',
  },
  {
    line: 'docker exec -it vllm vllm serve Qwen/Qwen3-8B --max-num-seqs 4',
    model: 'Qwen/Qwen3-8B',
    options: { 'max-num-seqs': '4' },
  },
  {
    line: 'export VLLM_USE_V1=1\nexport HF_TOKEN=secret\nvllm serve Qwen/Qwen3-8B --async-scheduling\ncurl http://localhost:8000/v1/models',
    model: 'Qwen/Qwen3-8B',
    options: { 'async-scheduling': true },
    env: {},
  },
  {
    line: 'source .venv/bin/activate && cd /srv && nohup vllm serve Qwen/Qwen3-8B --max-model-len 4096 > vllm.log 2>&1 &',
    model: 'Qwen/Qwen3-8B',
    options: { 'max-model-len': '4096' },
  },
  { line: '$ vllm serve Qwen/Qwen3-8B -q fp8  # quick', model: 'Qwen/Qwen3-8B', options: { quantization: 'fp8' } },
  {
    line: 'uv run vllm serve --model Qwen/Qwen3-8B --dtype bfloat16',
    model: 'Qwen/Qwen3-8B',
    options: { dtype: 'bfloat16' },
  },
  {
    line: 'srun --nodes=1 /opt/venv/bin/vllm serve Qwen/Qwen3-8B -pp 2 -dp 2 -dcp 1',
    model: 'Qwen/Qwen3-8B',
    options: { 'pipeline-parallel-size': '2', 'data-parallel-size': '2', 'decode-context-parallel-size': '1' },
  },
  {
    line: 'python /app/vllm/entrypoints/openai/api_server.py --model Qwen/Qwen3-8B --block-size 32',
    model: 'Qwen/Qwen3-8B',
    options: { 'block-size': '32' },
  },
  {
    line: 'python -m vllm.entrypoints.cli.main serve Qwen/Qwen3-8B --block-size 32',
    model: 'Qwen/Qwen3-8B',
    options: { 'block-size': '32' },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --no-enable-prefix-caching --no-enable-chunked-prefill',
    model: 'Qwen/Qwen3-8B',
    options: { 'enable-prefix-caching': false, 'enable-chunked-prefill': false },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --disable-prefix-caching --enable-hybrid-kv-cache-manager',
    release: '0.33.0',
    model: 'Qwen/Qwen3-8B',
    options: { 'enable-prefix-caching': false, 'disable-hybrid-kv-cache-manager': false },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --enable-chunked-prefill=False --enable-prefix-caching true',
    release: '0.7.3',
    model: 'Qwen/Qwen3-8B',
    options: { 'enable-chunked-prefill': false, 'enable-prefix-caching': true },
  },
  {
    line: `vllm serve deepseek-ai/DeepSeek-V3 --speculative-config '{"method": "mtp", "num_speculative_tokens": 1}' -ep`,
    model: 'deepseek-ai/DeepSeek-V3',
    options: {
      'speculative-config': '{"method": "mtp", "num_speculative_tokens": 1}',
      'enable-expert-parallel': true,
    },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --speculative-config.method ngram --speculative_config.num_speculative_tokens 4 --speculative-config.prompt_lookup_max=3',
    model: 'Qwen/Qwen3-8B',
    options: { 'speculative-config': '{"method":"ngram","num_speculative_tokens":4,"prompt_lookup_max":3}' },
  },
  {
    line: `vllm serve Qwen/Qwen3-8B --compilation-config '{"cudagraph_mode": "PIECEWISE"}' --compilation-config.cudagraph_capture_sizes '[1,2,4]'`,
    model: 'Qwen/Qwen3-8B',
    options: { 'compilation-config': '{"cudagraph_mode":"PIECEWISE","cudagraph_capture_sizes":[1,2,4]}' },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B -cc.cudagraph_mode=NONE',
    model: 'Qwen/Qwen3-8B',
    options: { 'compilation-config': '{"cudagraph_mode":"NONE"}' },
  },
  { line: 'vllm serve Qwen/Qwen3-8B -O0', model: 'Qwen/Qwen3-8B', options: { 'enforce-eager': true } },
  {
    line: 'vllm serve Qwen/Qwen3-8B -O3',
    release: '0.10.0',
    model: 'Qwen/Qwen3-8B',
    options: { 'compilation-config': '{"level":3}' },
  },
  { line: 'vllm serve Qwen/Qwen3-8B -O 2', model: 'Qwen/Qwen3-8B', options: { 'optimization-level': '2' } },
  {
    line: 'vllm serve Qwen/Qwen3-8B --cudagraph-capture-sizes 1 2 4 8 --max-num-seqs 8',
    model: 'Qwen/Qwen3-8B',
    options: { 'cudagraph-capture-sizes': '1,2,4,8', 'max-num-seqs': '8' },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --cuda-graph-sizes 64',
    release: '0.10.2',
    model: 'Qwen/Qwen3-8B',
    options: { 'max-cudagraph-capture-size': '64' },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --kv-cache-memory=14454533837',
    model: 'Qwen/Qwen3-8B',
    options: { 'kv-cache-memory-bytes': '14454533837' },
  },
  {
    line: 'vllm serve Qwen/Qwen2.5-VL-7B-Instruct --limit-mm-per-prompt image=4,video=0 --mm-processor-kwargs \'{"max_pixels":100}\'',
    release: '0.7.3',
    model: 'Qwen/Qwen2.5-VL-7B-Instruct',
    options: { 'limit-mm-per-prompt': 'image=4,video=0', 'mm-processor-kwargs': '{"max_pixels":100}' },
  },
  {
    line: 'vllm serve facebook/opt-6.7b --speculative-model facebook/opt-125m --num-speculative-tokens 5',
    release: '0.7.3',
    model: 'facebook/opt-6.7b',
    options: { 'speculative-config': '{"model":"facebook/opt-125m","num_speculative_tokens":5}' },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --max-model-len -1 --swap-space 4 --frobnicate 7 --num-scheduler-steps 8',
    model: 'Qwen/Qwen3-8B',
    options: { 'max-model-len': '-1' },
    unknown: ['--frobnicate'],
    other: ['--swap-space', '--num-scheduler-steps'],
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --kv-cache-memory-bytes 8G --async-scheduling',
    release: '0.8.5.post1',
    model: 'Qwen/Qwen3-8B',
    other: ['--kv-cache-memory-bytes', '--async-scheduling'],
  },
  {
    line: 'vllm serve "Qwen/Qwen3-8B" --served-model-name "my model" --chat-template \'./a b.jinja\' --api-key $KEY',
    model: 'Qwen/Qwen3-8B',
    options: { 'served-model-name': 'my model', 'chat-template': './a b.jinja', 'api-key': '$KEY' },
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B --lora-modules a=x/y b=z/w --enable-lora --max-lora-rank 64',
    model: 'Qwen/Qwen3-8B',
    options: { 'enable-lora': true, 'max-lora-rank': '64' },
  },
  {
    line: 'docker run --gpus all nvcr.io/nvidia/vllm:25.09-py3 vllm serve Qwen/Qwen3-8B -tp 2',
    model: 'Qwen/Qwen3-8B',
    options: { 'tensor-parallel-size': '2' },
  },
  {
    line: 'uvx vllm@0.11.2 serve Qwen/Qwen3-8B',
    release: '0.11.2',
    model: 'Qwen/Qwen3-8B',
    version: '0.11.2',
  },
  {
    line: 'vllm serve Qwen/Qwen3-8B `\n  --max-model-len 4096 `\n  --dtype auto',
    model: 'Qwen/Qwen3-8B',
    options: { 'max-model-len': '4096', dtype: 'auto' },
  },
];

describe('a published command line', () => {
  it.each(lines)('$line', ({ line, release, model, ...expected }) => {
    const command = read(line, release);
    expect(command.model).toBe(model);
    expect(options(command)).toMatchObject(expected.options ?? {});
    expect(command.unknown).toEqual(expected.unknown ?? []);
    expect(command.otherRelease.map(({ flag }) => flag)).toEqual(expected.other ?? []);
    if (expected.gpuCount) expect(command.gpuCount).toBe(expected.gpuCount);
    if (expected.env) expect(command.env).toMatchObject(expected.env);
    if (expected.version) expect(command.version).toBe(expected.version);
  });

  it('keeps no secret of the environment', () => {
    const line = 'HF_TOKEN=a OPENAI_API_KEY=b VLLM_USE_V1=1 vllm serve Qwen/Qwen3-8B';
    expect(read(line).env).toEqual({ VLLM_USE_V1: '1' });
    expect(read('docker run -e HF_TOKEN=a -eVLLM_X=1 vllm/vllm-openai --model m').env).toEqual({ VLLM_X: '1' });
  });

  it('says what replaced a flag of another release', () => {
    const [scheduler] = read('vllm serve m --num-scheduler-steps 8').otherRelease;
    expect(scheduler).toMatchObject({ flag: '--num-scheduler-steps', until: expect.any(String) });
  });

  it.each(['', 'ls -l', 'ollama serve', 'vllm bench throughput', 'docker run nginx'])('refuses %j', (line) => {
    expect(() => read(line)).toThrow('does not start vLLM');
  });
});

describe('CUDA graphs of an existing command', () => {
  const graphBytes = async (flags: string): Promise<number> => {
    const line = `vllm serve Qwen/Qwen3-8B ${flags}`;
    const { result } = await planJson(['-g', 'h100-sxm', '--engine', 'vllm@0.19.0', '--from-command', line]);
    return result.devices[0]!.items.find(({ id }) => id === 'graphs')?.bytes ?? 0;
  };

  it.each(['--enforce-eager', '-O0', `--compilation-config '{"cudagraph_mode":"NONE"}'`, '-cc.cudagraph_mode=none'])(
    '%s leaves none',
    async (flags) => expect(await graphBytes(flags)).toBe(0),
  );

  it.each([
    '--cudagraph-capture-sizes 1 2 4',
    '--max-cudagraph-capture-size 4',
    `--compilation-config '{"cudagraph_capture_sizes":[1,2,4]}'`,
  ])('%s leaves fewer', async (flags) => {
    expect(await graphBytes(flags)).toBeLessThan(0.5 * (await graphBytes('')));
    expect(await graphBytes(flags)).toBe(await graphBytes('--cudagraph-capture-sizes 4,2,1'));
  });
});

describe('a config file', () => {
  it('says flags as keys, lists as several words and mappings as JSON', () => {
    const command = readConfigFile(
      {
        model: 'Qwen/Qwen3-8B',
        tensor_parallel_size: 2,
        'enforce-eager': true,
        'enable-prefix-caching': false,
        'cudagraph-capture-sizes': [1, 2],
        'compilation-config': { cudagraph_mode: 'NONE' },
      },
      vllmFlags(),
      '0.19.1',
    );
    expect(command.model).toBe('Qwen/Qwen3-8B');
    expect(options(command)).toEqual({
      'tensor-parallel-size': '2',
      'enforce-eager': true,
      'enable-prefix-caching': false,
      'cudagraph-capture-sizes': '1,2',
      'compilation-config': '{"cudagraph_mode":"NONE"}',
    });
  });

  it('gives way to the line that names it', () => {
    const line = read('vllm serve --config serve.yaml --max-model-len 4096');
    expect(line.configFile).toBe('serve.yaml');
    const file = readConfigFile({ model: 'm', 'max-model-len': 8192, 'max-num-seqs': 4 }, vllmFlags(), '0.19.1');
    const both = overConfig(line, file);
    expect(both.model).toBe('m');
    expect(options(both)).toEqual({ 'max-model-len': '4096', 'max-num-seqs': '4' });
  });
});
