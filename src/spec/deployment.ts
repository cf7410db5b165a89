// A deployment: a complete, named configuration, and what a template that it comes from claims about itself. Which figure of a plan
// a claim is held against, and how the claimed text is read, is said here; whether it is right is plan/deployment/claims.ts.
import type { Json } from './model.ts';

/** Figures of a plan that a claim can be about. */
export const claimFigures = [
  'weights',
  'weights-per-gpu',
  'kv-cache',
  'kv-per-token',
  'activations',
  'used-per-gpu',
  'sequences',
  'fits',
] as const;
export type ClaimFigure = (typeof claimFigures)[number];

export interface ClaimPreset {
  what: string;
  /** As the original says it: 28 GB, 64, yes. */
  claimed: string;
  /** The figure of the plan that it is held against; absent where nothing can be. */
  of?: ClaimFigure;
  /** For kv-cache and sequences, where they differ from the requirement. */
  context?: number;
  sequences?: number;
  because: string;
}

export interface DeploymentPreset {
  id: string;
  name: string;
  description: string;
  intent: string;
  model: string;
  gpu: string;
  engine?: string;
  quantization?: string;
  /** The engine's own option names without dashes. */
  options?: Record<string, Json>;
  requirement?: { context?: number; concurrency?: number };
  environment?: Record<string, string>;
  /** Whether it starts and holds its requirement. */
  fits: boolean;
  /** The original that this one corrects. */
  corrects?: string;
  /** What was changed, and why. */
  changes?: readonly string[];
  claims?: readonly ClaimPreset[];
  sources: readonly string[];
  notes?: readonly string[];
}

const units: Readonly<Record<string, readonly number[]>> = {
  B: [1],
  bytes: [1],
  // Texts that write KB, MB or GB may mean either.
  KB: [1e3, 2 ** 10],
  MB: [1e6, 2 ** 20],
  GB: [1e9, 2 ** 30],
  KiB: [2 ** 10],
  MiB: [2 ** 20],
  GiB: [2 ** 30],
};

/** What a claimed text can mean, in bytes, as a count or as true and false; none: it cannot be read. */
export function claimedValues(claimed: string, of: ClaimFigure): (number | boolean)[] {
  if (of === 'fits') return claimed === 'yes' ? [true] : claimed === 'no' ? [false] : [];
  const match = /^(\d[\d,]*(?:\.\d+)?)(?: (\w+))?$/.exec(claimed.trim());
  if (!match) return [];
  const number = Number(match[1]!.replaceAll(',', ''));
  if (of === 'sequences') return match[2] === undefined ? [number] : [];
  return (units[match[2] ?? ''] ?? []).map((unit) => number * unit);
}
