// `vram plan`: reads the command line, plans, writes the answer in the form asked for. Glue only: references are resolved in
// plan-request.ts, forms are chosen in plan-render.ts.
import type { Command } from 'commander';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { checkRequirement, parseRequirement } from '../plan/require.ts';
import { parseCount } from '../spec/count.ts';
import { makeCommand } from './command.ts';
import { parseDeployed } from './deployed-command.ts';
import { addEngineOptions, collect, readPlanArguments } from './engine-arguments.ts';
import { renderGpuList } from './gpu-list.ts';
import { addLlamaOptions, readLlamaOptions, withLongNames } from './llama-arguments.ts';
import { formNamed, styleFor, tellDiagnostics, tellFailedRequirements, writeOutput } from './output.ts';
import { formats, planCarriesDiagnostics, renderPlan } from './plan-render.ts';
import { type PlanArguments, planArguments } from './plan-request.ts';

const examples = [
  'vram plan --model llama-7b --gpu rtx4090',
  'vram plan -m Qwen/Qwen3-32B-FP8 -g "2x l40s" --tp 2 --context 16k',
  'vram plan -m llama-3.1-70b -g h100-sxm --tp 4 --engine vllm@0.19.0 --explain',
  'vram plan -g a10g --from-command "vllm serve Qwen/Qwen3-8B --enforce-eager"',
  'vram plan --engine llama.cpp -m llama-3.1-8b -q q4_k_m -c 8192 -g rtx3060',
  "vram plan -m llama-3.1-8b -g l4 --json --require 'kvCache.maxConcurrency>=4'",
  'vram plan --deployment llama-2-7b-chat-awq',
  'vram plan --pool shared-gpu.yaml',
];

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const parsed = await parseDeployed(argv, { name: 'plan', make: () => planCommand(io), words: withLongNames }, io);
  if (!parsed) return 0;
  const { command, deployment, commandWords } = parsed;
  const args = readArguments(command);
  if (deployment?.environment) args.given.env = deployment.environment;
  if (commandWords) args.commandWords = commandWords;
  const { pool, allocator } = command.opts<{ pool?: string; allocator?: boolean }>();
  if (pool !== undefined) return (await import('./plan-pool.ts')).planPoolFile(pool, command, args, io);
  if (allocator) {
    throw inputError('VRAM742', '--allocator is about several models on one GPU', {
      hint: 'name them in a pool file: vram plan --pool FILE --allocator',
      path: '--allocator',
    });
  }
  const requirements = args.require.map(parseRequirement);
  const format = formNamed(args.format, formats);
  const style = styleFor(args.output, io);
  const planned = await planArguments(args, io);
  if (planned.kind === 'gpus') {
    const list = planned.output;
    await writeOutput(await renderGpuList(list, format, style), args.output, io);
    if (!planCarriesDiagnostics.has(format) || format === 'markdown') tellDiagnostics(list.diagnostics, io);
    return list.result.gpus.some((row) => row.fits) ? 0 : 1;
  }
  const { output } = planned;
  const beside = deployment?.tell(output, format, style) ?? '';
  const outcomes = requirements.map((requirement) => checkRequirement(requirement, output.result));
  const text = await renderPlan(output, { format, outcomes, style, explain: args.explain });
  await writeOutput(text + beside, args.output, io);
  if (!planCarriesDiagnostics.has(format)) tellDiagnostics(output.diagnostics, io);
  tellFailedRequirements(outcomes, io);
  const { verdict, workload } = output.result;
  return verdict.fits && workload?.fits !== false && outcomes.every(({ holds }) => holds) ? 0 : 1;
}

function planCommand(io: Io): Command {
  const command = makeCommand(
    'plan',
    'Does this model fit on this hardware, where does the memory go, how many tokens\nand sequences fit, and with which flags?',
    examples,
    io,
  );
  command
    .option('-m, --model <ref>', 'preset, Hugging Face id, YAML spec, config.json, directory, .gguf file, hf:org/name')
    .option('-g, --gpu <ref>', 'preset, "2x rtx4090", printed name, YAML spec, auto; without it: which GPUs fit')
    .option('--gpu-memory <size>', 'total that CUDA reports, e.g. 79.18GiB')
    .option('--free-memory <sizes>', 'free on each GPU at the start, e.g. 22GiB,23GiB')
    .option('--engine <id[@version]>', 'vllm (newest known release), vllm@0.19.0, llama.cpp, llama.cpp@b10361, ollama')
    .option(
      '--deployment <id|file>',
      'a complete configuration (vram list deployments); other options override its own',
    )
    .option('--pool <file>', 'several models on the same GPUs: what each gets under each policy')
    .option('--allocator', 'with --pool: what allocators of GPU memory make of models that come and go')
    .option('--context <tokens>', 'requirement: sequences of this length')
    .option('--concurrency <n>', 'requirement: so many of them at once')
    .option(
      '--from-command <line>',
      'read the options of a vllm serve or llama-server line, docker run line or config file',
    )
    .option('--env <name=value>', 'variable of the service, with --engine ollama (repeatable)', collect)
    .option('--require <expr>', 'assertion over the result, e.g. kvCache.maxConcurrency>=4 (repeatable)', collect)
    .option('--matrix', 'which contexts x concurrencies fit')
    .option('--auto-parallel [goal]', 'plan every layout of the GPUs; best by capacity, latency or communication')
    .option('--placement', 'which layers, heads, rows and experts sit on which GPU')
    .option('--disaggregate <split>', 'prefill and decode on servers of their own: prefill=2,decode=6 or auto')
    .option('--explain', 'formula, source and confidence of every figure')
    .option('--assume-architecture <family>', 'plan an unknown architecture as this family (estimated)')
    .option(
      '--format <form>',
      'table, json, yaml, markdown, csv, flags, command, vllm-yaml, docker, compose, kubernetes, github, junit, html, svg',
    )
    .option('--json', 'same as --format json')
    .option('-o, --output <file>', 'write the result to a file (- for standard output)');
  addEngineOptions(command);
  addLlamaOptions(command);
  return command;
}

function readArguments(command: Command): PlanArguments {
  const { concurrency, autoParallel, placement, disaggregate } = command.opts<{
    concurrency?: string;
    autoParallel?: string | true;
    placement?: boolean;
    disaggregate?: string;
  }>();
  return {
    ...readPlanArguments(command),
    ...(autoParallel === undefined ? {} : { autoParallel }),
    placement: placement === true,
    ...(disaggregate === undefined ? {} : { disaggregate }),
    llama: readLlamaOptions(command),
    env: command.opts<{ env?: string[] }>().env ?? [],
    concurrency: concurrency === undefined ? undefined : parseCount(concurrency, '--concurrency'),
  };
}
