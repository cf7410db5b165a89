// The line that starts vLLM, before vLLM sees its arguments: shell words, environment, docker run, python -m. It knows how
// people start the server and how many devices that gives it; flags of the engine are read in from-command.ts.
import { parse as shellParse } from 'shell-quote';
import { inputError } from '../../diagnostics.ts';

export interface Launched {
  /** The words that the engine's own parser gets. */
  args: string[];
  /** Engine and device variables; secrets among the others are not kept. */
  env: Record<string, string>;
  /** Devices the launcher hands over: --gpus of docker run, CUDA_VISIBLE_DEVICES. */
  gpuCount?: number;
}

/** Splits a command line into words as a POSIX shell would; variables stay literal, the first command that names the engine wins. */
export function splitCommand(text: string, engine = /vllm/): string[] {
  const joined = endLines(text.replace(/[\\`^][ \t]*\r?\n/g, ' ').replace(/^\s*[$>#]\s+/, ''));
  const words: string[] = [];
  let redirect = false;
  for (const token of shellParse(joined, (name: string) => `$${name}`)) {
    if (typeof token === 'string') {
      if (!redirect) words.push(token);
      redirect = false;
    } else if ('pattern' in token) words.push(token.pattern);
    else if ('comment' in token) continue;
    else if (/[<>]/.test(token.op)) {
      if (/^\d$/.test(words.at(-1) ?? '')) words.pop();
      redirect = true;
    } else if (/^(;|&&?|\|\|?)$/.test(token.op)) {
      if (words.some((word) => engine.test(word))) break;
      words.splice(0, words.length, ...words.filter((word) => assignment.test(word)));
    }
  }
  return words;
}

const assignment = /^[A-Za-z_]\w*=/;

/** A line break outside quotes ends a command, unless the next line goes on with a flag. */
function endLines(text: string): string {
  let quote = '';
  let result = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quote ? char === quote : char === "'" || char === '"') quote = quote ? '' : char;
    const ends = char === '\n' && !quote && !/^\s*(-|$)/.test(text.slice(i + 1, i + 80));
    result += ends ? ' ; ' : char;
  }
  return result;
}

/** The release named by the image tag of a command, before its flags are read. */
export function versionInCommand(words: readonly string[]): string | undefined {
  for (const word of words) {
    const tag = /vllm[\w/-]*(?::|@|==)v?(\d\.\d+(?:\.\d+)?(?:\.post\d+)?)(?![\d.])/.exec(word);
    if (tag && !word.startsWith('nvcr.io')) return tag[1];
  }
  return undefined;
}

/** Cuts the launcher off and returns the arguments that vLLM sees. */
export function launched(words: readonly string[]): Launched {
  const result: Launched = { args: [], env: {} };
  readEnvironment(words, result);
  const docker = words.findIndex((word) => /(^|\/)(docker|podman|nerdctl)$/.test(word));
  const run = docker < 0 ? -1 : words.indexOf('run', docker);
  if (run > 0 && words.slice(docker, run).every((word) => !word.includes('vllm'))) {
    const image = imageIndex(words, run + 1);
    if (image > 0 && /vllm/.test(words[image]!)) {
      readDockerGpus(words.slice(run, image), result);
      result.args = inContainer(words.slice(image + 1));
      return result;
    }
  }
  const args = onHost(words);
  if (!args) throw notVllm();
  result.args = args;
  return result;
}

function onHost(words: readonly string[]): string[] | undefined {
  const shell = words.findIndex((word, i) => /^-\w*c$/.test(word) && /(^|\/)(ba|z|da)?sh$/.test(words[i - 1] ?? ''));
  if (shell > 0) return words[shell + 1] === undefined ? undefined : onHost(splitCommand(words[shell + 1]!));
  const serve = words.findIndex((word, i) => word === 'serve' && /(^|\/)vllm(@[\w.]+)?$/.test(words[i - 1] ?? ''));
  if (serve > 0) return words.slice(serve + 1);
  const module = words.findIndex(
    (word, i) =>
      (words[i - 1] === '-m' && word.startsWith('vllm.entrypoints')) || /(^|\/)openai\/api_server\.py$/.test(word),
  );
  if (module < 0) return undefined;
  return words.slice(module + (words[module + 1] === 'serve' ? 2 : 1));
}

/** What follows the image: flags of the server, or a command of its own. */
function inContainer(words: readonly string[]): string[] {
  if (words[0] === 'serve') return words.slice(1);
  return onHost(words) ?? [...words];
}

function notVllm(): Error {
  return inputError('VRAM160', 'the command does not start vLLM', {
    hint: 'give a line like: vllm serve MODEL --max-model-len 8192, python -m vllm.entrypoints.openai.api_server ..., or docker run ... vllm/vllm-openai:v0.19.0 ...',
    path: '--from-command',
  });
}

/** Switches of docker run; every other option takes the next word. */
const dockerSwitches =
  /^(-[ditPq]+|--(rm|privileged|init|detach|interactive|tty|read-only|publish-all|oom-kill-disable|no-healthcheck|quiet|sig-proxy|replace))$/;

function imageIndex(words: readonly string[], from: number): number {
  for (let i = from; i < words.length; i++) {
    const word = words[i]!;
    if (!word.startsWith('-')) return i;
    const glued = word.includes('=') || /^-[epv].+/.test(word);
    if (!glued && !dockerSwitches.test(word)) i++;
  }
  return -1;
}

function readEnvironment(words: readonly string[], result: Launched): void {
  words.forEach((word, i) => {
    const match = /^(?:--env=|-e)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(word);
    if (!match || !/^(VLLM|CUDA|HIP|ROCR|PYTORCH|NCCL)_/.test(match[1]!)) return;
    const flagged = words[i - 1] === '-e' || words[i - 1] === '--env' || /^(--env=|-e)/.test(word);
    const leading = words
      .slice(0, i)
      .every((before) => assignment.test(before) || /^(env|sudo|exec|export|nohup|set|-E|-i)$/.test(before));
    if (flagged || leading) result.env[match[1]!] = match[2]!;
  });
  const visible = result.env.CUDA_VISIBLE_DEVICES ?? result.env.HIP_VISIBLE_DEVICES;
  if (visible && /^[\w-]+(,[\w-]+)*$/.test(visible)) result.gpuCount = visible.split(',').length;
}

function readDockerGpus(words: readonly string[], result: Launched): void {
  words.forEach((word, i) => {
    const value = word === '--gpus' ? words[i + 1] : word.startsWith('--gpus=') ? word.slice(7) : undefined;
    const listed = value?.replaceAll('"', '').match(/^(?:(\d+)|device=([\w,-]+))$/);
    if (listed) result.gpuCount = listed[1] ? Number(listed[1]) : listed[2]!.split(',').length;
  });
}
