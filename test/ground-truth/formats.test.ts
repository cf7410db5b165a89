// Every published start-up in every form that is something to run: each flag exists in that release with a value its parser
// takes, each form parses with the parser of its language, and the command read back gives the same plan.
import { readFileSync } from 'node:fs';
import { parse as shellParse } from 'shell-quote';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import type { PlanOutput } from '../../src/plan/output.ts';
import { planOutputSchema } from '../../src/plan/schema.ts';
import { argumentProblems } from './flag-table.ts';
import { planJson, vramPlan } from './in-process.ts';

const { cases } = JSON.parse(readFileSync(new URL('./vllm-startups.json', import.meta.url), 'utf8')) as {
  cases: { id: string; args: string[] }[];
};

/** Options that no published start-up shows, on releases where their spelling differs. */
const further: { id: string; args: string[] }[] = [
  ['llama-3.1-8b', 'h100-sxm', '0.6.3', '--no-enable-prefix-caching --block-size 32 --cpu-offload-gb 4'],
  [
    'llama-3.1-8b',
    'h100-sxm',
    '0.7.3',
    '--kv-cache-memory-bytes 8GiB --max-model-len auto --no-enable-chunked-prefill',
  ],
  ['qwen2.5-vl-7b', 'h100-sxm', '0.7.3', '--limit-mm-per-prompt {"image":2,"video":0}'],
  [
    'qwen2.5-vl-7b',
    'h100-sxm',
    '0.9.2',
    '--limit-mm-per-prompt {"image":2} --enable-lora --max-loras 2 --max-lora-rank 64',
  ],
  ['llama-3.1-8b', 'h100-sxm', '0.10.2', '--kv-cache-memory-bytes 8GiB --async-scheduling --no-enable-chunked-prefill'],
  ['llama-3.1-8b', 'h100-sxm', '0.11.0', '--cudagraph-capture-sizes 1,2,4,8 --quantization fp8 --block-size 64'],
  [
    'llama-3.1-8b',
    'h100-sxm',
    '0.13.0',
    '--cudagraph-capture-sizes 1,2,4,8 --kv-cache-dtype fp8_e5m2 --max-model-len 8k',
  ],
  ['llama-3.1-8b', 'h100-sxm', '0.14.1', '--compilation-config {"cudagraph_mode":"NONE"} --max-model-len auto'],
  ['qwen3-30b-a3b', '2x h100-sxm', '0.19.0', '--tp 2 --enable-expert-parallel --no-async-scheduling --block-size 48'],
  ['deepseek-v2-lite', '4x h100-sxm', '0.20.0', '--dp 2 --tp 2 --enable-expert-parallel --dcp 2 --enforce-eager'],
  [
    'llama-3.1-8b',
    'h100-sxm',
    '0.33.0',
    '--no-enable-prefix-caching --no-enable-chunked-prefill --max-cudagraph-capture-size 64',
  ],
  [
    'gemma-3-27b',
    'b200',
    '0.33.0',
    '--disable-hybrid-kv-cache-manager --skip-mm-profiling --max-lora-rank 32 --enable-lora',
  ],
  ['qwen3.5-9b', 'b200', '0.33.0', '--mamba-cache-mode align --language-model-only'],
  ['phi-4', 'h100-sxm', '0.27.0', '--quantization bitsandbytes --max-num-seqs 64'],
].map(([model, gpu, release, options]) => ({
  id: `${model} on ${release} with ${options}`,
  args: ['plan', '--model', model!, '--gpu', gpu!, '--engine', `vllm@${release}`, ...options!.split(' ')],
}));

const argsOf = ({ args }: { args: string[] }): string[] => args.slice(1).filter((word) => word !== '--json');
const textOf = async (args: readonly string[], format: string): Promise<string> =>
  (await vramPlan([...args, '--format', format])).out;
const shellWords = (text: string): string[] =>
  shellParse(text, (name: string) => `$${name}`).filter((token) => typeof token === 'string');
const withoutComments = (text: string): string => text.replace(/^#.*\n/gm, '');

describe.each([...cases, ...further])('$id', (theCase) => {
  const args = argsOf(theCase);

  it('names only flags and values that the release takes, in every form', async () => {
    const { input } = await planJson(args);
    const { release } = input.engine;
    const model = input.model.served;
    const problems = (words: readonly string[]): string[] => argumentProblems(words, release, model);
    const flags = shellWords(await textOf(args, 'flags'));
    expect(problems([model, ...flags])).toEqual([]);

    const command = shellWords(withoutComments(await textOf(args, 'command')));
    expect(command.slice(0, 2)).toEqual(['vllm', 'serve']);
    expect(command.slice(3)).toEqual(flags);
    expect(problems(command.slice(2))).toEqual([]);

    const docker = shellWords(withoutComments(await textOf(args, 'docker')).replaceAll('\\\n', ' '));
    expect(docker.slice(0, 2)).toEqual(['docker', 'run']);
    expect(docker.slice(docker.indexOf('serve') + 1)).toEqual([model, ...flags]);

    const { services } = parseYaml(await textOf(args, 'compose')) as ComposeFile;
    expect(services.vllm.command.map((word) => word.replaceAll('$$', '$'))).toEqual([model, ...flags]);

    const pod = (parseYaml(await textOf(args, 'kubernetes')) as KubernetesFile).spec.template.spec.containers[0]!;
    expect(pod.args).toEqual([model, ...flags]);
    expect(Object.values(pod.resources.limits)).toEqual([input.parallel.tp * input.parallel.pp * input.parallel.dp]);

    const { model: named, ...config } = parseYaml(await textOf(args, 'vllm-yaml')) as Record<string, unknown>;
    expect(named).toBe(model);
    expect(Object.entries(config).flatMap(([key, value]) => configWords(key, value))).toEqual(flags);
  });

  it('comes back the same from its own command', async () => {
    const planned = await planJson(args);
    // What the release cannot be told is planned, and said to be missing in the command.
    if (planned.diagnostics.some(({ code }) => code === 'VRAM411' || code === 'VRAM412')) return;
    const command = withoutComments(await textOf(args, 'command'));
    const again = await planJson([...notInCommand(args, planned), '--from-command', command]);
    // A default that moves with the length is written out in the command, so that ways out may differ.
    const { flags, suggestions } = again.result;
    expect(again.result).toEqual({ ...planned.result, flags, suggestions });
    expect(again.result.flags.map(({ flag, value }) => [flag, value])).toEqual(
      planned.result.flags.map(({ flag, value }) => [flag, value]),
    );
  });

  it('validates against the schema and is the same twice', async () => {
    const { out } = await vramPlan([...args, '--json']);
    expect(planOutputSchema.safeParse(JSON.parse(out)).error?.issues).toBeUndefined();
    expect((await vramPlan([...args, '--json'])).out).toBe(out);
  });
});

/** A command line says neither the GPU nor the release, nor a checkpoint that is still to be made. */
function notInCommand(args: readonly string[], { diagnostics }: PlanOutput): string[] {
  const kept = ['--gpu', '--gpu-memory', '--engine'];
  if (diagnostics.some(({ code }) => code === 'VRAM417')) kept.push('--model', '--quantization');
  return args.flatMap((word, i) => (kept.includes(word) ? [word, args[i + 1]!] : []));
}

/** How `vllm serve --config` makes arguments of a key (vllm/utils/argparse_utils.py load_config_file). */
function configWords(key: string, value: unknown): string[] {
  if (value === true) return [`--${key}`];
  return [`--${key}`, ...(Array.isArray(value) ? value.map(String) : [String(value)])];
}

interface ComposeFile {
  services: { vllm: { command: string[] } };
}

interface KubernetesFile {
  spec: { template: { spec: { containers: { args: string[]; resources: { limits: Record<string, number> } }[] } } };
}
