// A plan as what Ollama reads: a Modelfile and the environment of its service. Names come from files and users: they are quoted, and
// refused where the format cannot hold them. Format: parser/parser.go (unquote), envconfig/config.go (Var).
import { inputError } from '../../../diagnostics.ts';
import { shellQuote } from '../../../shell.ts';
import type { OllamaEnvironment, OllamaParameters } from './types.ts';

/** FROM and the PARAMETER lines that move memory; ends in a line break. */
export function modelfile(input: { from: string; parameters?: OllamaParameters; comment?: string }): string {
  const { numCtx, numBatch, numGpu, mainGpu, useMmap, numThread, draftNumPredict } = input.parameters ?? {};
  const parameters = {
    num_ctx: numCtx,
    num_batch: numBatch,
    num_gpu: numGpu,
    main_gpu: mainGpu,
    use_mmap: useMmap,
    num_thread: numThread,
    draft_num_predict: draftNumPredict,
  };
  return [
    ...(input.comment ?? '').split('\n').flatMap((line) => (line.trim() === '' ? [] : [`# ${printable(line.trim())}`])),
    `FROM ${modelfileValue(input.from)}`,
    ...Object.entries(parameters).flatMap(([name, value]) =>
      value === undefined ? [] : [`PARAMETER ${name} ${value}`],
    ),
    '',
  ].join('\n');
}

export type OllamaEnvironmentForm = 'shell' | 'systemd' | 'dotenv';

/** Variables in the order of Ollama's own list: export lines, Environment= lines of a unit, or NAME=value. */
export function ollamaEnvironment(environment: OllamaEnvironment, form: OllamaEnvironmentForm = 'shell'): string[] {
  return variables(environment).map(([name, value]) => {
    refuse(value, name);
    if (form === 'shell') return `export ${name}=${shellQuote(value)}`;
    // systemd splits at spaces, and expands % and backslashes.
    if (form === 'systemd') return `Environment="${name}=${value.replace(/["\\]/g, '\\$&').replaceAll('%', '%%')}"`;
    if (/["'\s#$\\]/.test(value)) throw unwritable(name, 'cannot stand in an environment file');
    return `${name}=${value}`;
  });
}

function variables(environment: OllamaEnvironment): [name: string, value: string][] {
  const { contextLength, numParallel, kvCacheType, flashAttention, gpuOverheadBytes, schedSpread } = environment;
  const { maxLoadedModels, keepAlive, fit, fitTargetMiB } = environment;
  const list: [string, string | number | undefined][] = [
    ['OLLAMA_CONTEXT_LENGTH', contextLength],
    ['OLLAMA_NUM_PARALLEL', numParallel],
    ['OLLAMA_KV_CACHE_TYPE', kvCacheType],
    ['OLLAMA_FLASH_ATTENTION', flashAttention === undefined ? undefined : Number(flashAttention)],
    ['OLLAMA_GPU_OVERHEAD', gpuOverheadBytes],
    ['OLLAMA_SCHED_SPREAD', schedSpread === undefined ? undefined : Number(schedSpread)],
    ['OLLAMA_MAX_LOADED_MODELS', maxLoadedModels],
    ['OLLAMA_KEEP_ALIVE', keepAlive],
    ['LLAMA_ARG_FIT', fit],
    ['LLAMA_ARG_FIT_TARGET', fitTargetMiB],
  ];
  return list.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
}

/** One argument of an instruction: quoted where it holds spaces; quotes inside a quoted value have no escape. */
function modelfileValue(text: string): string {
  refuse(text, 'FROM');
  if (text.includes('"')) throw unwritable('FROM', 'holds a quotation mark, for which a Modelfile has no escape');
  if (text.trim() === '') throw unwritable('FROM', 'is empty');
  return /\s/.test(text) ? `"${text}"` : text;
}

function refuse(text: string, where: string): void {
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text)) throw unwritable(where, 'holds control characters');
}

function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\ufffd');
}

function unwritable(where: string, problem: string): Error {
  return inputError('VRAM146', `the value of ${where} ${problem}`, { path: where });
}
