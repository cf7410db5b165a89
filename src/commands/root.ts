// `vram` without a command: help and version, and the nearest command for a misspelled one.
import { distance } from 'fastest-levenshtein';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { version } from '../version.ts';
import { makeCommand, parseCommand } from './command.ts';

const commands: readonly (readonly [name: string, description: string])[] = [
  ['plan', 'Does this model fit on this hardware, and with which flags?'],
  ['simulate', 'What happens to the KV cache under a workload, block by block?'],
  ['compare', 'Models, GPUs, schemes, layouts and engines side by side, with price and speed'],
  ['quantize', 'Which quantization schemes fit, and what do they cost in quality?'],
  ['list', 'What ships: models, gpus, engines, quantizations'],
  ['show', 'One preset as YAML with its sources, or the tensors of a model'],
  ['schema', 'The JSON Schema of an output or an input file'],
  ['completion', 'Completion script for bash, zsh or fish'],
];

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const program = makeCommand(
    'vram',
    'Plans the GPU memory of LLM serving: what the engine itself will print, per\nengine version, without a GPU or a download.',
    [
      'vram plan --model llama-7b --gpu rtx4090',
      'vram plan -m Qwen/Qwen3-32B-FP8 -g "2x l40s" --context 16k --concurrency 8',
      'vram plan -g a10g --from-command "vllm serve Qwen/Qwen3-8B --enforce-eager"',
      'vram simulate -m llama-3.1-8b -g l4 --workload sharegpt --rate 2/s',
      'vram compare -m llama-3.1-8b,qwen3-8b -g rtx4090,l40s -q none,fp8,awq',
      'vram list gpus',
    ],
    io,
  );
  program.version(version, '-V, --version', 'show the version');
  for (const [name, description] of commands) program.command(name).description(description);
  if (argv.length === 0) {
    program.outputHelp({ error: true });
    return 2;
  }
  const words = argv.filter((argument) => !argument.startsWith('-'));
  const word = words[0] === 'help' ? words[1] : words[0];
  if (word !== undefined) throw unknownCommand(word);
  if (words[0] === 'help') {
    program.outputHelp();
    return 0;
  }
  await parseCommand(program, argv);
  return 0;
}

function unknownCommand(word: string): Error {
  const names = commands.map(([name]) => name);
  const nearest = names.reduce((best, name) => (distance(word, name) < distance(word, best) ? name : best));
  return inputError('VRAM100', `unknown command ${JSON.stringify(word)}`, {
    hint: distance(word, nearest) <= 3 ? `did you mean vram ${nearest}?` : `commands: ${names.join(', ')}`,
  });
}
