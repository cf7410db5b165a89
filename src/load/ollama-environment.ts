// Variables of Ollama's service as `--env NAME=VALUE` states them. Law: envconfig/config.go (strings, booleans, unsigned numbers).
import { inputError } from '../diagnostics.ts';
import type { OllamaEnvironment } from '../engines/llamacpp/ollama.ts';
import { nearestNames, printable } from './names.ts';

type Reader = (value: string, name: string) => Partial<OllamaEnvironment>;

const number = (value: string, name: string): number => {
  if (/^\d{1,15}$/.test(value.trim())) return Number(value);
  throw inputError('VRAM146', `${name} takes a whole number, not "${printable(value)}"`, { path: '--env' });
};
/** Whatever Go's ParseBool does not know counts as true. */
const truth = (value: string): boolean => !/^(?:0|f|false)$/i.test(value.trim());

const readers: Readonly<Record<string, Reader>> = {
  OLLAMA_CONTEXT_LENGTH: (value, name) => ({ contextLength: number(value, name) }),
  OLLAMA_NUM_PARALLEL: (value, name) => ({ numParallel: number(value, name) }),
  OLLAMA_KV_CACHE_TYPE: (value) => ({ kvCacheType: value.trim() }),
  OLLAMA_FLASH_ATTENTION: (value) => ({ flashAttention: truth(value) }),
  OLLAMA_GPU_OVERHEAD: (value, name) => ({ gpuOverheadBytes: number(value, name) }),
  OLLAMA_SCHED_SPREAD: (value) => ({ schedSpread: truth(value) }),
  OLLAMA_MAX_LOADED_MODELS: (value, name) => ({ maxLoadedModels: number(value, name) }),
  OLLAMA_KEEP_ALIVE: (value) => ({ keepAlive: value.trim() }),
  LLAMA_ARG_FIT: (value) => ({ fit: truth(value) && value.trim() !== 'off' ? 'on' : 'off' }),
  LLAMA_ARG_FIT_TARGET: (value, name) => ({ fitTargetMiB: number(value, name) }),
};

export function readOllamaEnvironment(assignments: readonly string[]): OllamaEnvironment {
  const environment: OllamaEnvironment = {};
  for (const assignment of assignments) {
    const [name = '', ...rest] = assignment.split('=');
    const reader = Object.hasOwn(readers, name) ? readers[name] : undefined;
    if (!reader || rest.length === 0) {
      throw inputError('VRAM146', `--env does not take "${printable(assignment)}"`, {
        hint: reader
          ? `write ${name}=VALUE`
          : `did you mean ${nearestNames(name, Object.keys(readers))[0] ?? 'OLLAMA_CONTEXT_LENGTH'}? Known: ${Object.keys(readers).join(', ')}`,
        path: '--env',
      });
    }
    Object.assign(environment, reader(rest.join('='), name));
  }
  return environment;
}
