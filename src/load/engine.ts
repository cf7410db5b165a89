// Resolves --engine: the engine, the release or build whose rules apply, and those rules from the compiled presets.
import { type Diagnostic, type InputError, inputError } from '../diagnostics.ts';
import { buildNumber, newestBuild, oldestBuild } from '../engines/llamacpp/builds.ts';
import { type OllamaMatch, ollamaVersion } from '../engines/llamacpp/ollama.ts';
import type { LlamaRules } from '../engines/llamacpp/rules.ts';
import type { Profile } from '../engines/vllm/profile.ts';
import { matchRelease, newestRelease, oldestRelease } from '../engines/vllm/releases.ts';
import { loadLlamaRules, loadPresets, loadProfile } from './presets.ts';

export interface EngineRef {
  id: 'vllm';
  name: 'vLLM';
  /** As asked for: the newest known release when none was. */
  version: string;
  /** The release whose sources the rules come from. */
  release: string;
  profile: Profile;
  diagnostics: Diagnostic[];
}

export interface LlamaEngineRef {
  id: 'llama.cpp';
  name: 'llama.cpp';
  version: string;
  /** Its place in time (builds.ts). */
  build: number;
  rules: LlamaRules;
  diagnostics: Diagnostic[];
}

export interface OllamaEngineRef {
  /** The llama.cpp build that this version starts. */
  llama: LlamaEngineRef;
  match: OllamaMatch;
}

export const engineIds = ['vllm', 'llama.cpp', 'ollama'] as const;
export type EngineId = (typeof engineIds)[number];

/** The engine that a reference names, before anything of its version is looked at. */
export function engineIdOf(ref: string | undefined): EngineId {
  const name = partsOf(ref).id.toLowerCase();
  const id = engineIds.find((known) => known === name || (known === 'llama.cpp' && /^llama[-_]?cpp$/.test(name)));
  if (id) return id;
  throw inputError('VRAM401', `engine ${JSON.stringify(partsOf(ref).id)} is not known to this version`, {
    hint: `use vllm, llama.cpp or ollama, with a version if need be: vllm@${newestRelease}, llama.cpp@${newestBuild}`,
    path: '--engine',
  });
}

export function resolveEngineRef(ref: string | undefined): EngineRef {
  if (engineIdOf(ref) !== 'vllm') throw onlyVllm(ref!);
  const version = (partsOf(ref).version ?? newestRelease).replace(/^v/, '');
  const match = matchRelease(version);
  if (match.kind === 'malformed' || match.kind === 'unsupported') {
    throw inputError('VRAM402', `vLLM ${JSON.stringify(version)} is not a release that can be planned`, {
      hint: `releases ${oldestRelease} to ${newestRelease} are covered, e.g. --engine vllm@0.19.0`,
      path: '--engine',
    });
  }
  return {
    id: 'vllm',
    name: 'vLLM',
    version,
    release: match.release,
    profile: loadProfile(match.release),
    diagnostics: match.kind === 'newer' ? [newer('vLLM', version, match.release)] : [],
  };
}

/** llama.cpp@b10361, llama.cpp@v0.5.0, or the newest build read. */
export function resolveLlamaRef(ref: string | undefined): LlamaEngineRef {
  const version = partsOf(ref).version ?? newestBuild;
  const build = buildNumber(version);
  if (build === undefined || build < buildNumber(oldestBuild)!) {
    throw inputError('VRAM402', `llama.cpp ${JSON.stringify(version)} is not a build that can be planned`, {
      hint: `builds from ${oldestBuild} to ${newestBuild} are covered, e.g. --engine llama.cpp@b10361`,
      path: '--engine',
    });
  }
  return {
    id: 'llama.cpp',
    name: 'llama.cpp',
    version,
    build,
    rules: loadLlamaRules(build),
    diagnostics: build > buildNumber(newestBuild)! ? [newer('llama.cpp', version, newestBuild)] : [],
  };
}

/** ollama, ollama@0.32.15: the version, and the llama.cpp build in it. */
export function resolveOllamaRef(ref: string | undefined): OllamaEngineRef {
  const match = ollamaVersion(loadPresets('ollama'), partsOf(ref).version);
  const llama = resolveLlamaRef(`llama.cpp@${match.build}`);
  const asked = partsOf(ref).version;
  if (!match.read && asked !== undefined) {
    llama.diagnostics.push({
      severity: 'note',
      code: 'VRAM403',
      message: `Ollama ${asked} was not read; planned as ${match.version}`,
      path: '--engine',
    });
  }
  return { llama, match };
}

function partsOf(ref: string | undefined): { id: string; version?: string } {
  const [id = '', ...rest] = (ref ?? 'vllm').trim().split('@');
  return rest.length > 0 ? { id, version: rest.join('@') } : { id };
}

function onlyVllm(ref: string): InputError {
  return inputError('VRAM405', `this is planned for vLLM only, not for ${JSON.stringify(partsOf(ref).id)}`, {
    hint: 'vram plan and vram quantize of one model take llama.cpp and ollama too',
    path: '--engine',
  });
}

function newer(name: string, version: string, newest: string): Diagnostic {
  return {
    severity: 'warning',
    code: 'VRAM403',
    message: `${name} ${version} is newer than the newest release known here; planned by the rules of ${newest}`,
    path: '--engine',
  };
}
