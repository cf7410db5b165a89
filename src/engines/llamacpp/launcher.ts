// The line that starts llama.cpp, before its own parser sees the arguments: environment, path of the program, docker run, the
// one `llama` program with subcommands. It knows which of the programs is meant and which build an image or a path names.
import { inputError } from '../../diagnostics.ts';
import type { LlamaProgram } from './flags.ts';

export interface LlamaLaunched {
  program: LlamaProgram;
  /** The words that the program's own parser gets. */
  args: string[];
  /** LLAMA_ARG_* and device variables. */
  env: Record<string, string>;
  /** Devices the launcher hands over: --gpus of docker run, CUDA_VISIBLE_DEVICES. */
  gpuCount?: number;
  /** b10361, v0.5.0: from the tag of the image or the path. */
  build?: string;
}

export function launchedLlama(words: readonly string[]): LlamaLaunched {
  const env = readEnvironment(words);
  const build = buildInWords(words);
  const gpuCount = dockerGpus(words) ?? visibleDevices(env);
  const found = onHost(words) ?? inContainer(words);
  if (!found) {
    throw inputError('VRAM160', 'the command does not start llama.cpp', {
      hint: 'give a line like: llama-server -m model.gguf -c 8192 -ngl 99, llama serve ..., or docker run ... ghcr.io/ggml-org/llama.cpp:server-cuda ...',
      path: '--from-command',
    });
  }
  return { ...found, env, ...(gpuCount === undefined ? {} : { gpuCount }), ...(build === undefined ? {} : { build }) };
}

type Found = Pick<LlamaLaunched, 'program' | 'args'>;

/** Names of the programs; those before 2024-06 were called server and main. */
const programs: readonly { name: RegExp; program: LlamaProgram }[] = [
  { name: /(^|[\\/])llama-server(\.exe)?$/, program: 'llama-server' },
  { name: /(^|[\\/])llama-(cli|completion|bench|perplexity|simple|run)(\.exe)?$/, program: 'llama-cli' },
  { name: /^\.?[\w./-]*[\\/]server(\.exe)?$/, program: 'llama-server' },
  { name: /^\.?[\w./-]*[\\/]main(\.exe)?$/, program: 'llama-cli' },
];

/** Subcommands of the program `llama` (app/llama.cpp). */
const subcommands: Readonly<Record<string, LlamaProgram>> = {
  serve: 'llama-server',
  server: 'llama-server',
  cli: 'llama-cli',
  client: 'llama-cli',
  completion: 'llama-cli',
  complete: 'llama-cli',
};

function onHost(words: readonly string[]): Found | undefined {
  for (const [at, word] of words.entries()) {
    const known = programs.find(({ name }) => name.test(word));
    if (known && !isValue(words, at)) return { program: known.program, args: words.slice(at + 1) };
    const next = words[at + 1] ?? '';
    if (/(^|[\\/])llama(\.exe)?$/.test(word) && Object.hasOwn(subcommands, next))
      return { program: subcommands[next]!, args: words.slice(at + 2) };
  }
  return undefined;
}

/** --entrypoint /app/llama-server names the program, but the arguments stand after the image. */
function isValue(words: readonly string[], at: number): boolean {
  return words[at - 1] === '--entrypoint';
}

const imageName = /(^|\/)llama\.cpp(?::([\w.-]+))?(?:@sha256:\w+)?$/;

/** Images `server` start llama-server, `light` llama-cli; `full` takes --server or --run first (.devops/tools.sh). */
function inContainer(words: readonly string[]): Found | undefined {
  const image = words.findIndex((word) => imageName.test(word) && !word.startsWith('-'));
  if (image < 0) return undefined;
  const tag = imageName.exec(words[image]!)?.[2] ?? '';
  const args = words.slice(image + 1);
  const entry = words.slice(0, image).join(' ');
  if (/--entrypoint[= ]\S*llama-cli/.test(entry)) return { program: 'llama-cli', args };
  if (/--entrypoint[= ]\S*llama-server/.test(entry)) return { program: 'llama-server', args };
  if (tag.startsWith('full')) {
    if (/^(--server|-s)$/.test(args[0] ?? '')) return { program: 'llama-server', args: args.slice(1) };
    if (/^(--run(-legacy)?|-[rl])$/.test(args[0] ?? '')) return { program: 'llama-cli', args: args.slice(1) };
    return undefined;
  }
  return { program: tag.startsWith('light') ? 'llama-cli' : 'llama-server', args };
}

/** server-cuda-b5640, llama-b6673-bin-ubuntu-x64, :v0.5.0. */
function buildInWords(words: readonly string[]): string | undefined {
  for (const word of words) {
    const path = /llama[.\w-]*[-:/](?:[\w.]+-)*(b\d{4,5})(?![\w.])/.exec(word) ?? /llama-(b\d{4,5})-bin/.exec(word);
    if (path) return path[1];
    const tag = /(^|\/)llama\.cpp:(?:[\w]+-)*(v\d+\.\d+\.\d+)$/.exec(word);
    if (tag) return tag[2];
  }
  return undefined;
}

function readEnvironment(words: readonly string[]): Record<string, string> {
  const env: Record<string, string> = {};
  words.forEach((word, at) => {
    const match = /^(?:--env=|-e)?((?:LLAMA|CUDA|HIP|ROCR|GGML)_[A-Z0-9_]*)=(.*)$/s.exec(word);
    if (!match) return;
    const flagged = words[at - 1] === '-e' || words[at - 1] === '--env' || /^(--env=|-e)/.test(word);
    const leading = words
      .slice(0, at)
      .every((before) => /^([A-Za-z_]\w*=|(env|sudo|exec|export|nohup|-E|-i)$)/s.test(before));
    if (flagged || leading) env[match[1]!] = match[2]!;
  });
  return env;
}

function visibleDevices(env: Readonly<Record<string, string>>): number | undefined {
  const visible = env.CUDA_VISIBLE_DEVICES ?? env.HIP_VISIBLE_DEVICES;
  return visible && /^[\w-]+(,[\w-]+)*$/.test(visible) ? visible.split(',').length : undefined;
}

function dockerGpus(words: readonly string[]): number | undefined {
  for (const [at, word] of words.entries()) {
    const value = word === '--gpus' ? words[at + 1] : word.startsWith('--gpus=') ? word.slice(7) : undefined;
    const listed = value?.replaceAll('"', '').match(/^(?:(\d+)|device=([\w,-]+))$/);
    if (listed) return listed[1] ? Number(listed[1]) : listed[2]!.split(',').length;
  }
  return undefined;
}
