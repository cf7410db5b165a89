// Ollama's versions: the llama.cpp build that each one starts and the numbers of its scheduler (presets/engines/ollama.yaml). Code
// reads the rules of its version and compares no versions.
import { inputError } from '../../../diagnostics.ts';
import type { OllamaLibrary } from './types.ts';

export interface OllamaVersion {
  version: string;
  date: string;
  /** e.g. b10488. */
  build: string;
}

export interface OllamaBook {
  versions: readonly OllamaVersion[];
  rules: Readonly<Record<string, readonly { from: string; value: unknown; source?: string }[]>>;
}

export interface OllamaRules {
  'context-tiers': readonly { fromGiB: number; numCtx: number }[];
  'context-after-out-of-memory': readonly number[];
  'fit-percent': number;
  'generation-batch': {
    default: number;
    constrained: number;
    constrainedMemoryGiB: number;
    steps: readonly { aboveCtx: number; batch: number; headroomPercent: number; surchargeMiB: number }[];
  };
  'embedding-batch': number;
  'single-slot-families': readonly string[];
  'models-per-gpu': number;
  'minimum-memory-mib': { Metal: number; other: number };
  'flash-attention-capability': number;
  'load-mode': { noMmap: readonly string[]; integrated?: readonly string[] };
  'mmap-headroom': { bytes: number; percent: number };
  projector: { smallGpuGiB?: number; headroomMiB?: number; fitTarget?: boolean; integratedToCpu?: boolean };
}

export interface OllamaMatch extends OllamaVersion {
  rules: OllamaRules;
  /** The version itself was read; a newer one stands as the newest read. */
  read: boolean;
}

/** The version asked for, or the newest read one before it; versions with engines of their own are refused. */
export function ollamaVersion(book: OllamaBook, version?: string): OllamaMatch {
  const wanted = version === undefined ? undefined : position(version);
  if (version !== undefined && wanted === undefined) {
    throw inputError('VRAM402', `${JSON.stringify(version.slice(0, 40))} is no Ollama version`, {
      hint: 'write it like 0.32.15',
    });
  }
  const oldest = book.versions[0]!;
  const at =
    wanted === undefined
      ? book.versions.length - 1
      : book.versions.findLastIndex((known) => position(known.version)! <= wanted);
  if (at < 0) {
    throw inputError(
      'VRAM402',
      `Ollama ${version} is not covered: before ${oldest.version} it ran models in engines of its own`,
      {
        hint: `plan llama.cpp itself, or Ollama ${oldest.version} and later`,
      },
    );
  }
  const known = book.versions[at]!;
  return {
    ...known,
    rules: rulesOf(book, known.version),
    read: wanted === undefined || position(known.version) === wanted,
  };
}

function rulesOf({ rules }: OllamaBook, version: string): OllamaRules {
  const resolved: Record<string, unknown> = {};
  for (const [name, history] of Object.entries(rules)) {
    for (const { from, value } of history) if (position(from)! <= position(version)!) resolved[name] = value;
  }
  return resolved as unknown as OllamaRules;
}

/** 0.32.15, v0.32.15, 0.33.0-rc1: one number that orders them; a candidate stands before its release. */
function position(version: string): number | undefined {
  const match = /^v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,4}))?(-rc\d+)?$/.exec(version.trim());
  if (!match) return undefined;
  const number = Number(match[1]) * 1e8 + Number(match[2]) * 1e5 + Number(match[3] ?? 0) * 10;
  return match[4] ? number - 1 : number;
}

/** What the log calls minimum: memory left out of "available". */
export function minimumMemoryMiB(rules: OllamaRules, library: OllamaLibrary): number {
  const { Metal, other } = rules['minimum-memory-mib'];
  return library === 'Metal' ? Metal : other;
}
