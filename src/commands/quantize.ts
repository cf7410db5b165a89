// `vram quantize`: every quantization scheme of a model on a GPU, side by side: does it fit, what does it cost in quality, does the hardware
// and the engine run it; and which one to take. Glue only: the answer is made in quantize-request.ts and src/plan/quantize.
import type { Command } from 'commander';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { nearestNames, printable } from '../load/names.ts';
import { type Domain, domains } from '../plan/quality/book.ts';
import type { QuantizeOutput } from '../plan/quantize-output.ts';
import { quantizeCsv, quantizeMarkdown } from '../render/quantize-flat.ts';
import { quantizeTable } from '../render/quantize-table.ts';
import { parseCount } from '../spec/count.ts';
import { makeCommand, parseCommand } from './command.ts';
import { addEngineOptions, collect, readPlanArguments } from './engine-arguments.ts';
import { dataText, formNamed, styleFor, tellDiagnostics, writeOutput } from './output.ts';
import { quantizeRecipes, recipeFile, recipesText } from './quantize-recipe.ts';
import { type QuantizeArguments, quantizeArguments } from './quantize-request.ts';

const formats = ['table', 'json', 'yaml', 'markdown', 'csv'] as const;

const examples = [
  'vram quantize --model llama-3-70b --gpu "2x rtx4090"',
  'vram quantize -m qwen2.5-14b -g l4 --context 8192 --concurrency 4',
  'vram quantize -m llama-3.1-8b -g t4 --max-quality-loss 1% --domain code',
  'vram quantize -m qwen3-32b -g rtx4090 --recipe --engine llama.cpp',
  'vram quantize -m qwen3-30b-a3b -g rtx3090 --scheme "q4*,iq4*"',
];

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const command = quantizeCommand(io);
  if (!(await parseCommand(command, argv))) return 0;
  const args = readArguments(command);
  const format = formNamed(args.format, formats);
  if (args.recipe) return recipes(args, format, io);
  const output = await whileShown(io, 'planning every scheme', () => quantizeArguments(args, io));
  await writeOutput(await render(output, format, args, io), args.output, io);
  if (format !== 'json' && format !== 'yaml') tellDiagnostics(output.diagnostics, io);
  return output.result.recommendation === null ? 1 : 0;
}

/** The work takes a few seconds for large models: said on a terminal. */
async function whileShown<Value>(io: Io, text: string, work: () => Promise<Value>): Promise<Value> {
  const done = await io.progress?.(text);
  try {
    return await work();
  } finally {
    done?.();
  }
}

/** Recipes in place of rows: as a table, as data, and in the form that their tool reads. */
async function recipes(args: QuantizeArguments, format: (typeof formats)[number], io: Io): Promise<number> {
  if (format === 'csv' || format === 'markdown') {
    throw inputError('VRAM154', `a recipe has no form ${format}`, {
      hint: 'table, json or yaml; --recipe-out writes what the tool reads',
      path: '--format',
    });
  }
  const output = await whileShown(io, 'looking for a recipe', () => quantizeRecipes(args, io));
  if (args.recipeOut !== undefined) await writeOutput(recipeFile(output), args.recipeOut, io);
  const text = format === 'table' ? recipesText(output, styleFor(args.output, io)) : await dataText(format, output);
  if (args.recipeOut !== '-') await writeOutput(text, args.output, io);
  if (format === 'table') tellDiagnostics(output.diagnostics, io);
  return output.result.recipes.some(({ recipe, headroomBytes }) => recipe.fits && headroomBytes >= 0) ? 0 : 1;
}

async function render(
  output: QuantizeOutput,
  format: (typeof formats)[number],
  { explain, output: file }: QuantizeArguments,
  io: Io,
): Promise<string> {
  switch (format) {
    case 'table':
      return quantizeTable(output, { style: styleFor(file, io), explain });
    case 'json':
    case 'yaml':
      return dataText(format, output);
    case 'markdown':
      return quantizeMarkdown(output);
    case 'csv':
      return quantizeCsv(output);
  }
}

function quantizeCommand(io: Io): Command {
  const command = makeCommand(
    'quantize',
    'Which quantization schemes fit, what they cost in quality by published figures,\nwhat the hardware and the engine support; and which one to take.',
    examples,
    io,
  );
  command
    .option('-m, --model <ref>', 'preset, Hugging Face id, YAML spec, config.json, directory, hf:org/name')
    .option('-g, --gpu <ref>', 'preset, "2x rtx4090", printed name, YAML spec, auto')
    .option('--gpu-memory <size>', 'total that CUDA reports, e.g. 79.18GiB')
    .option('--free-memory <sizes>', 'free on each GPU at the start, e.g. 22GiB,23GiB')
    .option('--engine <id[@version],...>', 'vllm, llama.cpp, with a version if need be (default: both, the newest)')
    .option('--context <tokens>', 'requirement: sequences of this length (default: 8192)')
    .option('--concurrency <n>', 'requirement: so many of them at once (default: 1)')
    .option('--max-quality-loss <share>', 'recommend nothing that is known to lose more, e.g. 1%')
    .option('--domain <name>', `what the answers are for: ${domains.join(', ')}`)
    .option('--scheme <glob>', 'only these schemes, e.g. "q4*,awq" (repeatable)', collect)
    .option('--recipe', 'mixed precision: which tensors get how many bits to fit')
    .option('--recipe-out <file>', 'write what the tool reads: a llama-quantize line, llm-compressor YAML')
    .option('--explain', 'storage, sources and support of every scheme')
    .option('--assume-architecture <family>', 'take an unknown architecture for this family (estimated)')
    .option('--format <form>', formats.join(', '))
    .option('--json', 'same as --format json')
    .option('-o, --output <file>', 'write the result to a file (- for standard output)');
  addEngineOptions(command);
  return command;
}

function readArguments(command: Command): QuantizeArguments {
  const { concurrency, maxQualityLoss, domain, scheme, recipe, recipeOut } = command.opts<{
    concurrency?: string;
    maxQualityLoss?: string;
    domain?: string;
    scheme?: string[];
    recipe?: boolean;
    recipeOut?: string;
  }>();
  return {
    ...readPlanArguments(command),
    ...(concurrency === undefined ? {} : { concurrency: parseCount(concurrency, '--concurrency') }),
    ...(maxQualityLoss === undefined ? {} : { maxQualityLoss: parseShare(maxQualityLoss) }),
    ...(domain === undefined ? {} : { domain: domainNamed(domain) }),
    schemes: scheme ?? [],
    recipe: recipe === true || recipeOut !== undefined,
    ...(recipeOut === undefined ? {} : { recipeOut }),
  };
}

/** 1%, 0.5 %, 0.01: a share of the 16-bit figure. */
function parseShare(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*$/.exec(text);
  const value = match ? Number(match[1]) / (match[2] ? 100 : 1) : Number.NaN;
  if (value >= 0 && value < 1) return value;
  throw inputError('VRAM143', `--max-quality-loss takes a share below 100 %, not ${JSON.stringify(printable(text))}`, {
    hint: 'e.g. --max-quality-loss 1%, or 0.01',
    path: '--max-quality-loss',
  });
}

function domainNamed(text: string): Domain {
  const wanted = text
    .toLowerCase()
    .replace(/^mathematics$/, 'math')
    .replace(/^coding$/, 'code');
  const known = domains.find((name) => name === wanted);
  if (known) return known;
  throw inputError('VRAM146', `there is no domain ${JSON.stringify(printable(text))}`, {
    hint: `did you mean ${nearestNames(text, domains, 1)[0] ?? 'general'}? (${domains.join(', ')})`,
    path: '--domain',
  });
}
