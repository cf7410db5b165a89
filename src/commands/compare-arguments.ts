// The command line of `vram compare`: lists where `plan` takes one value, the options of a planning command, and what is done with the
// rows. Nothing is resolved here.
import { type Command, Option } from 'commander';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { parseCount } from '../spec/count.ts';
import type { LlamaOptions } from '../spec/llama-options.ts';
import type { EngineOptions } from '../spec/options.ts';
import { makeCommand } from './command.ts';
import { addEngineOptions, collect, readEngineOptions } from './engine-arguments.ts';
import { addLlamaOptions, readLlamaOptions } from './llama-arguments.ts';

const examples = [
  'vram compare -m llama-3.1-8b,qwen3-8b -g rtx4090,l40s -q none,fp8,awq',
  'vram compare -m llama-3.1-70b -g l40s,h100-sxm --tp 2,4,8 --max-model-len 8k',
  'vram compare -m "qwen3-*" -g all --filter "fits and cost < 1" --top 10',
  'vram compare -m qwen3-8b -g all --pareto cost,seqs --format html -o front.html',
  'vram compare -m qwen3-32b -g h100-sxm --engine vllm@0.18,vllm@0.33 --diff',
  'vram compare --for "single consumer GPU" -g rtx4090',
];

export const compareFormats = ['table', 'csv', 'json', 'yaml', 'markdown', 'html'] as const;
export type CompareFormat = (typeof compareFormats)[number];

/** Lists in place of the one value that `plan` takes. */
const lists: ReadonlySet<keyof EngineOptions> = new Set([
  'quantization',
  'kvCacheDtype',
  'tensorParallelSize',
  'pipelineParallelSize',
  'dataParallelSize',
]);

export interface CompareArguments {
  model: string | undefined;
  gpu: string | undefined;
  engine: string | undefined;
  quantization: string | undefined;
  kvCacheDtype: string | undefined;
  tp: string | undefined;
  pp: string | undefined;
  dp: string | undefined;
  context: string | undefined;
  concurrency: string | undefined;
  outputTokens: number | undefined;
  scenario: string | undefined;
  sort: string | undefined;
  filter: string | undefined;
  top: number | undefined;
  pareto: string | undefined;
  groupBy: string | undefined;
  /** true: against the first combination; a word: a baseline file. */
  diff: true | string | undefined;
  maxChange: number | undefined;
  columns: string | undefined;
  price: string | undefined;
  prices: string | undefined;
  require: string[];
  format: string | undefined;
  output: string | undefined;
  explain: boolean;
  given: Partial<EngineOptions>;
  llama: LlamaOptions;
}

export function compareCommand(io: Io): Command {
  const command = makeCommand(
    'compare',
    'Models x GPUs x schemes x layouts x engines side by side: what fits, what it\nholds, what it costs and how fast it is likely to be.',
    examples,
    io,
  );
  command
    .option('-m, --model <refs>', 'models, separated by commas; globs over the presets ("qwen3-*"); all')
    .option('-g, --gpu <refs>', 'GPUs, boxes ("2x l40s", rtx4090+rtx3090) and nodes; globs; all')
    .option('--engine <refs>', 'engines with versions, e.g. vllm@0.18,vllm@0.33,llama.cpp')
    .option('-q, --quantization <schemes>', 'scheme ids, globs; none for 16 bit')
    .option('--kv-cache-dtype <types>', 'types of the KV cache, e.g. auto,fp8')
    .option(
      '--tp <sizes>',
      'tensor-parallel sizes, e.g. 1,2,4,8 (without any layout: 1, boxes whole); with llama.cpp: GPUs',
    )
    .option('--pp <sizes>', 'pipeline stages, e.g. 1,2')
    .option('--dp <sizes>', 'replicas, e.g. 1,4')
    .addOption(new Option('--tensor-parallel-size <sizes>').hideHelp())
    .addOption(new Option('--pipeline-parallel-size <sizes>').hideHelp())
    .addOption(new Option('--data-parallel-size <sizes>').hideHelp())
    .option('--context <tokens>', 'requirement: sequences of this length; several: each')
    .option('--concurrency <n>', 'requirement: so many of them at once; several: each')
    .option('--output-tokens <n>', 'of the context, tokens of the answer (a quarter): for speed and cost')
    .option('--for <scenario>', 'the best three deployments for a scenario (vram list scenarios)')
    .option('--sort <columns>', 'better first; + or - before a column turns it, e.g. cost,-tokens')
    .option('--filter <expr>', 'e.g. "fits and cost < 2 and gpu ~= \'h100.*\'"')
    .option('--top <n>', 'so many rows (of each group)')
    .option('--pareto <columns>', 'only rows that no other beats in these, e.g. cost,concurrency')
    .option('--group-by <column>', 'the best rows for each value of a column')
    .option('--diff [baseline]', 'against the first combination, or the rows of an earlier --format json')
    .option('--max-change <percent>', 'with --diff: exit status 1 if memory gets worse by more')
    .option('--columns <list>', 'columns of the table, e.g. model,gpu,tokens,cost')
    .option('--price <usd>', 'USD an hour and GPU: 2.10, or h100-sxm=2.10,rtx4090=0.35')
    .option('--prices <file>', 'the same from a YAML file')
    .option('--require <expr>', 'assertion that one row at least meets, as --filter (repeatable)', collect)
    .option('--explain', 'what every column means and where it comes from')
    .option('--format <form>', compareFormats.join(', '))
    .option('--json', 'same as --format json')
    .option('-o, --output <file>', 'write the result to a file (- for standard output)');
  addEngineOptions(command, lists);
  addLlamaOptions(command);
  return command;
}

export function readCompareArguments(command: Command): CompareArguments {
  const raw = command.opts<Record<string, string | boolean | string[] | undefined>>();
  const text = (key: string): string | undefined => (typeof raw[key] === 'string' ? (raw[key] as string) : undefined);
  const count = (key: string, option: string): number | undefined =>
    raw[key] === undefined ? undefined : parseCount(String(raw[key]), option);
  return {
    model: text('model'),
    gpu: text('gpu'),
    engine: text('engine'),
    quantization: text('quantization'),
    kvCacheDtype: text('kvCacheDtype'),
    tp: text('tensorParallelSize') ?? text('tp'),
    pp: text('pipelineParallelSize') ?? text('pp'),
    dp: text('dataParallelSize') ?? text('dp'),
    context: text('context'),
    concurrency: text('concurrency'),
    outputTokens: count('outputTokens', '--output-tokens'),
    scenario: text('for'),
    sort: text('sort'),
    filter: text('filter'),
    top: count('top', '--top'),
    pareto: text('pareto'),
    groupBy: text('groupBy'),
    diff: raw.diff === true ? true : text('diff'),
    maxChange: raw.maxChange === undefined ? undefined : percent(String(raw.maxChange)),
    columns: text('columns'),
    price: text('price'),
    prices: text('prices'),
    require: (raw.require as string[] | undefined) ?? [],
    format: raw.json === true ? 'json' : text('format'),
    output: text('output'),
    explain: raw.explain === true,
    given: readEngineOptions(command, lists),
    llama: readLlamaOptions(command),
  };
}

/** "2%" or "2" as a share. */
function percent(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*%?$/.exec(text.trim());
  if (!match)
    throw inputError('VRAM707', `--max-change takes a percentage, not ${JSON.stringify(text)}`, {
      hint: 'e.g. --max-change 2%',
      path: '--max-change',
    });
  return Number(match[1]) / 100;
}
