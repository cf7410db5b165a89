// Which model classes a vLLM release serves (presets/engines/vllm-architectures.yaml), and what it says about the others.
import { releaseIndex } from './releases.ts';

export interface RegistryEntry {
  architecture: string;
  kind?: string | string[];
  since?: string;
  until?: string;
  /** From this release on served by the Transformers backend. */
  viaTransformers?: string;
  absent?: string[];
}

export type Support =
  | { supported: true; viaTransformers: boolean }
  | { supported: false; since?: string; until?: string };

/** An architecture outside the registry is left to the Transformers backend, which is not known here: not supported. */
export function supportOf(entries: readonly RegistryEntry[], architecture: string, release: string): Support {
  const entry = byArchitecture(entries).get(architecture);
  if (!entry) return { supported: false };
  const at = releaseIndex(release);
  const tooEarly = entry.since !== undefined && at < releaseIndex(entry.since);
  const tooLate = entry.until !== undefined && at > releaseIndex(entry.until);
  if (tooEarly || tooLate || entry.absent?.includes(release)) {
    return {
      supported: false,
      ...(entry.since ? { since: entry.since } : {}),
      ...(entry.until ? { until: entry.until } : {}),
    };
  }
  return {
    supported: true,
    viaTransformers: entry.viaTransformers !== undefined && at >= releaseIndex(entry.viaTransformers),
  };
}

const indexes = new WeakMap<readonly RegistryEntry[], Map<string, RegistryEntry>>();

function byArchitecture(entries: readonly RegistryEntry[]): Map<string, RegistryEntry> {
  let index = indexes.get(entries);
  if (!index) {
    index = new Map(entries.map((entry) => [entry.architecture, entry]));
    indexes.set(entries, index);
  }
  return index;
}
