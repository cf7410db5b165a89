// Words and numbers of the command line that cannot be meant: unknown names are answered with the nearest, numbers with what
// would be legal.
import { describe, expect, it } from 'vitest';
import { expectCalm, expectRefused, vram } from './run.ts';

const on4090 = ['plan', '-m', 'llama-3.1-8b', '-g', 'rtx4090'];
const plan = (...more: string[]) => [...on4090, ...more];
const onGpu = (gpu: string) => ['plan', '-m', 'llama-3.1-8b', '-g', gpu];
const model = (ref: string) => ['plan', '-m', ref, '-g', 'rtx4090'];

type Case = readonly (string | RegExp)[];
/** arguments -> what the message says. */
const refused: readonly (readonly [args: readonly string[], says: Case])[] = [
  // Names.
  [['plna'], ['unknown command "plna"', 'did you mean vram plan?']],
  [['frobnicate'], ['unknown command', 'plan, simulate, compare, quantize, list, show']],
  [
    ['plan', '--modle', 'x'],
    ["unknown option '--modle'", 'Did you mean --model?'],
  ],
  [
    ['list', '--jsno', 'gpus'],
    ["unknown option '--jsno'", 'Did you mean --json?'],
  ],
  [['list'], ['kind']],
  [
    ['list', 'gpuz'],
    ['there is no kind "gpuz"', 'did you mean gpus?'],
  ],
  [['list', 'gpus', 'models'], [/too many arguments/]],
  [['show', 'gpu'], ['ref']],
  [
    ['show', 'gpu', 'rtx409'],
    ['there is no GPU "rtx409"', 'rtx4090'],
  ],
  [
    ['show', 'model', 'llama-3.1-9b'],
    ['there is no model', 'llama-3.1-8b'],
  ],
  [
    ['show', 'quantization', 'fp9'],
    ['there is no quantization "fp9"', 'did you mean', 'fp8'],
  ],
  [['show', 'gpu', 'rtx4090', '--tensors'], ['--tensors goes with a model']],
  [
    ['schema', 'plam'],
    ['there is no schema "plam"', 'plan'],
  ],
  [['schema'], ['what']],
  [
    ['completion', 'tcsh'],
    ['no completion for "tcsh"', 'bash, zsh or fish'],
  ],
  [['completion'], ['bash, zsh or fish']],
  [model('llama-3.1-8bb'), ['there is no model "llama-3.1-8bb"', 'did you mean llama-3.1-8b']],
  [model('meta-llama/Llama-3.1-8B-Instrukt'), ['there is no model', 'did you mean meta-llama/Llama-3.1-8B-Instruct']],
  [model('no-such/thing-at-all'), ['there is no model', 'hf:no-such/thing-at-all']],
  [model(''), ['no model given']],
  [model('   '), ['no model given']],
  [model('x'.repeat(5000)), ['there is no model', 'xxx...']],
  [model('hf:'), ['hf:organisation/name']],
  [model('hf:../../etc/passwd'), ['hf:organisation/name']],
  [model('weights.gguf'), ['weights.gguf: no such file']],
  [model('./missing/config.json'), ['no such file or directory', './missing/config.json']],
  [model('missing.yaml'), ['missing.yaml: no such file']],
  [model('a\u0000b.json'), ['is not a file name']],
  [
    ['plan', '-g', 'rtx4090'],
    ['no model is given', '--model'],
  ],
  [onGpu('rtx4091'), ['there is no GPU "rtx4091"', 'did you mean rtx4090']],
  [onGpu('GeForce RTX 40900'), ['there is no GPU', 'rtx4090']],
  [onGpu(''), ['no GPU given']],
  [onGpu('rtx4090,'), ['an empty GPU name']],
  [onGpu('missing.yaml'), ['missing.yaml: no such file']],
  [plan('--engine', 'vlm'), ['"vlm"', 'use vllm']],
  [plan('--engine', ''), ['engine', 'use vllm']],
  [plan('--engine', 'vllm@'), ['is not a release', 'e.g. --engine vllm@0.19.0']],
  [plan('--engine', 'vllm@newest'), ['"newest" is not a release']],
  [plan('--engine', 'vllm@0.19.0.0.0'), ['is not a release']],
  [plan('--engine', 'vllm@0.19.0@1'), ['is not a release']],
  [plan('--engine', 'vllm@0.2.7'), ['0.2.7', /releases 0\.6\.3\S* to/]],
  [plan('--engine', 'vllm@-1'), ['is not a release']],
  [plan('-q', 'fp88'), ['there is no quantization "fp88"', 'did you mean fp8']],
  [plan('-q', ''), ['no quantization']],
  [plan('--format', 'jsn'), ['there is no format "jsn"', 'did you mean json?']],
  [plan('--format', ''), ['there is no format ""']],
  [plan('--dtype', 'fp17'), ['--dtype', 'fp17', 'bfloat16']],
  [plan('--kv-cache-dtype', 'fp9'), ['--kv-cache-dtype', 'fp9', 'fp8']],
  [plan('--assume-architecture', 'lama'), ['lama', 'did you mean llama']],
  // Usage.
  [
    ['plan', '-m'],
    ['argument missing', '-m, --model'],
  ],
  [plan('--max-model-len'), ['argument missing', '--max-model-len']],
  [plan('stray'), [/too many arguments|unexpected argument/]],
  // Counts of GPUs.
  [onGpu('0x rtx4090'), ['0 GPUs cannot be planned', '2x rtx4090']],
  [onGpu('-1x rtx4090'), ['-1 GPUs cannot be planned']],
  [onGpu('1.5x rtx4090'), ['1.5 GPUs cannot be planned']],
  [onGpu('1e9x rtx4090'), ['1e9']],
  [onGpu('1000000000x rtx4090'), ['more than 4096 GPUs']],
  [onGpu('4000x rtx4090,4000x rtx3090'), ['more than 4096 GPUs']],
  [
    [...onGpu('2x rtx4090'), '--tp', '4'],
    ['needs 4 GPUs', '2 are given'],
  ],
  // Numbers.
  [plan('--max-model-len', '0'), ['--max-model-len must be at least 1, not 0']],
  [plan('--max-model-len', '-8'), ['--max-model-len']],
  [plan('--max-model-len', '8.5'), ['takes a whole number', '32768, 32k']],
  [plan('--max-model-len', '8e3'), ['takes a whole number']],
  [plan('--max-model-len', '99999999999999999999'), ['--max-model-len', '99999999999999999999']],
  [plan('--max-model-len', 'NaN'), ['takes a whole number, not "NaN"']],
  [plan('--max-model-len', ''), ['takes a whole number, not ""']],
  [plan('--max-num-seqs', '0'), ['--max-num-seqs must be at least 1']],
  [plan('--max-num-batched-tokens', '-1'), ['--max-num-batched-tokens']],
  [plan('--block-size', '0'), ['--block-size']],
  [plan('--tp', '0'), ['must be between 1 and']],
  [plan('--tp', '1000000'), ['must be between 1 and']],
  [plan('--pp', 'two'), ['takes a whole number, not "two"']],
  [plan('--gpu-memory-utilization', '0'), ['--gpu-memory-utilization must be above 0 and at most 1']],
  [plan('--gpu-memory-utilization', '1.5'), ['at most 1, not "1.5"']],
  [plan('--gpu-memory-utilization', 'nan'), ['at most 1, not "nan"']],
  [plan('--gpu-memory-utilization', '90%'), ['e.g. 0.9']],
  [plan('--gpu-memory-utilization', '0x1'), ['at most 1, not "0x1"']],
  [plan('--gpu-memory', '24G'), ['24GiB (powers of 1024) or 24GB (powers of 1000)']],
  [plan('--gpu-memory', '24Q'), ['is not a size', 'units are']],
  [plan('--gpu-memory', '-24GiB'), ['is not a size']],
  [plan('--gpu-memory', '0'), ['must be above zero']],
  [plan('--gpu-memory', '0.4B'), ['must be above zero']],
  [plan('--gpu-memory', '1e30GiB'), ['is not a size']],
  [plan('--gpu-memory', '99999999999TiB'), ['the number is too large']],
  [plan('--gpu-memory', '9000TiB'), ['--gpu-memory']],
  [plan('--gpu-memory', '24GiB,24GiB'), ['2 sizes for 1 GPU']],
  [plan('--free-memory', 'all'), ['--free-memory', 'is not a size']],
  [plan('--free-memory', '1GiB,1GiB,1GiB'), ['--free-memory', '3 sizes']],
  [plan('--free-memory', '100GiB'), ['--free-memory', 'more than']],
  [plan('--context', '-5'), ['--context must be at least 1']],
  [plan('--context', '0'), ['--context must be at least 1']],
  [plan('--concurrency', 'many'), ['--concurrency takes a whole number']],
  [plan('--cpu-offload-gb', '-1'), ['--cpu-offload-gb']],
  [plan('--cpu-offload-gb', 'inf'), ['--cpu-offload-gb']],
  [plan('--kv-cache-memory-bytes', '0'), ['--kv-cache-memory-bytes']],
  [plan('--num-gpu-blocks-override', '0'), ['--num-gpu-blocks-override']],
  [plan('--cudagraph-capture-sizes', '1,two'), ['--cudagraph-capture-sizes', '"two"']],
  [plan('--limit-mm-per-prompt', '{"image": '), ['--limit-mm-per-prompt takes a JSON object']],
  [plan('--limit-mm-per-prompt', '[1]'), ['takes a JSON object, not [1]']],
  [plan('--speculative-config', 'eagle'), ['--speculative-config takes a JSON object', 'quote it for the shell']],
  // Requirements.
  [plan('--require', ''), ['cannot read the requirement']],
  [plan('--require', 'kvCache.tokens'), ['cannot read the requirement', 'e.g. kvCache.maxConcurrency>=4']],
  [plan('--require', '>= 4'), ['cannot read the requirement']],
  [plan('--require', 'kvCache.tokens=>4'), ['kvCache.tokens=>4']],
  [plan('--require', 'kvCache.tokenz>=4'), ['names tokenz', 'it has:', 'tokens']],
  [plan('--require', 'nothing.at.all>=4'), ['names nothing', 'verdict']],
  [plan('--require', 'devices[7].totalBytes>1'), ['devices[7].totalBytes>1']],
  [plan('--require', '__proto__.x==1'), ['__proto__']],
  [plan('--require', 'kvCache.constructor.name==1'), ['names constructor']],
  [plan('--require', 'verdict.fits>=1'), ['orders something that is not a number']],
  [plan('--require', 'kvCache.tokens>=lots'), ['orders something that is not a number']],
];

const said = (args: readonly string[]) =>
  args.map((word) => (word === '' ? "''" : word.slice(0, 40).replace('\0', '\\0'))).join(' ');

describe.concurrent('refused', () => {
  it.each(refused.map(([args, says]) => [said(args), args, says] as const))('vram %s', async (_said, args, says) => {
    // A word with a NUL byte cannot be passed to a program at all.
    if (args.some((word) => word.includes('\0'))) return;
    expectRefused(await vram(args), 2, says);
  });
});

describe.concurrent('taken', () => {
  it.each<[what: string, args: string[], code: number, says: RegExp]>([
    [
      'a release newer than all known',
      plan('--engine', 'vllm@0.99.0', '--max-model-len', '8k', '--format', 'flags'),
      0,
      /warning: vLLM 0\.99\.0 is newer/,
    ],
    ['a release with a v', plan('--engine', 'vllm@v0.19.0', '--max-model-len', '8k', '--format', 'flags'), 0, /^/],
    [
      'the last of an option given twice',
      plan('--max-model-len', '1024', '--max-model-len', '4096', '--format', 'flags'),
      0,
      /^/,
    ],
    ['a GPU too small for anything', plan('--gpu-memory', '1MiB', '--format', 'flags'), 1, /^/],
    ['more context than the model has', plan('--max-model-len', '10m', '--format', 'flags'), 1, /^/],
    [
      'a requirement that fails',
      plan('--max-model-len', '8k', '--require', 'kvCache.tokens>=1e12', '--format', 'flags'),
      1,
      /requirement failed: kvCache\.tokens>=1e12/,
    ],
    [
      'a requirement that holds',
      plan('--max-model-len', '8k', '--require', 'verdict.fits==true', '--format', 'flags'),
      0,
      /^/,
    ],
    ['heads that tp does not divide', plan('--tp', '3', '--format', 'flags'), 1, /^/],
    [
      'a workload too large',
      plan('--max-model-len', '8k', '--context', '8k', '--concurrency', '100000', '--format', 'flags'),
      1,
      /^/,
    ],
  ])('%s', async (_what, args, code, says) => {
    const ran = await vram(args);
    expectCalm(ran);
    expect(ran.said).toMatch(says);
    expect(ran.said).not.toMatch(/^error:/);
    expect(ran.code).toBe(code);
    expect(ran.out).not.toBe('');
  });

  it('repeated options: the last counts', async () => {
    const ran = await vram(plan('--max-model-len', '1024', '--max-model-len', '4096', '--format', 'flags'));
    expect(ran.out).toContain('--max-model-len 4096');
  });
});
