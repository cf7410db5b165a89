// Resolves --engine: the engine, the release whose rules apply, and the profile of that release from the compiled presets.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { Profile } from '../engines/vllm/profile.ts';
import { matchRelease, newestRelease, oldestRelease } from '../engines/vllm/releases.ts';
import { loadProfile } from './presets.ts';

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

export function resolveEngineRef(ref: string | undefined): EngineRef {
  const [id = '', ...rest] = (ref ?? 'vllm').trim().split('@');
  const asked = rest.length > 0 ? rest.join('@') : undefined;
  if (id.toLowerCase() !== 'vllm') {
    throw inputError('VRAM401', `engine ${JSON.stringify(id)} is not known to this version`, {
      hint: `use vllm, or vllm@${newestRelease}`,
      path: '--engine',
    });
  }
  const version = (asked ?? newestRelease).replace(/^v/, '');
  const match = matchRelease(version);
  if (match.kind === 'malformed' || match.kind === 'unsupported') {
    throw inputError('VRAM402', `vLLM ${JSON.stringify(version)} is not a release that can be planned`, {
      hint: `releases ${oldestRelease} to ${newestRelease} are covered, e.g. --engine vllm@0.19.0`,
      path: '--engine',
    });
  }
  const diagnostics: Diagnostic[] = [];
  if (match.kind === 'newer') {
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM403',
      message: `vLLM ${version} is newer than the newest release known here; planned by the rules of ${match.release}`,
      path: '--engine',
    });
  }
  return {
    id: 'vllm',
    name: 'vLLM',
    version,
    release: match.release,
    profile: loadProfile(match.release),
    diagnostics,
  };
}
