// The flag and architecture tables of the engines, from the compiled presets. Read only where commands are generated or read.
import type { LlamaFlagTable } from '../engines/llamacpp/flags.ts';
import type { FlagEntry } from '../engines/vllm/flags.ts';
import type { RegistryEntry } from '../engines/vllm/registry.ts';
import { loadPresets } from './presets.ts';

export function vllmFlags(): readonly FlagEntry[] {
  return loadPresets('vllm-flags').flags;
}

/** Those that a plan itself has options for. */
export function plannedFlags(): readonly FlagEntry[] {
  return loadPresets('vllm-flags-planned').flags;
}

export function vllmRegistry(): readonly RegistryEntry[] {
  return loadPresets('vllm-architectures').architectures;
}

export function llamaFlags(): LlamaFlagTable {
  return loadPresets('llamacpp-flags');
}
