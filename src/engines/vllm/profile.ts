// The law of one vLLM release as data. presets/engines/vllm/*.yaml hold, per rule, its history: a list of entries
// { from, value, source }, ascending. A profile is the rules as they stood in one release; code reads the profile and never
// compares versions. Where a release changed a rule and not a number, the value is the name of a small function.

/** [major, minor, patch]; a post-release counts as its patch. */
export type Version = readonly [number, number, number];

export interface RuleEntry {
  /** First release the value holds for; "0.20" means the whole minor line. */
  from: string;
  value: unknown;
  source?: string;
  /** exact: read or run in that release; derived / estimated otherwise. */
  confidence?: 'exact' | 'derived' | 'estimated';
}

export type RuleHistory = readonly RuleEntry[];
/** Rule name (dotted: memory.formula, kv.groupSizeFactor) -> history. */
export type RuleBook = Readonly<Record<string, RuleHistory>>;

export function parseVersion(text: string): Version | undefined {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:\.post\d+|\.?(?:rc|dev)\d+)?(?:\.\d+)?(?:\+.*)?$/.exec(text.trim());
  if (!match) return undefined;
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

export function compareVersions(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

function atLeast(version: Version, from: string): boolean {
  const parsed = parseVersion(from);
  return parsed !== undefined && compareVersions(version, parsed) >= 0;
}

/** The rules of one release, by rule name. Rules that the release does not have yet are absent. */
export type Profile<Rules extends object = Record<string, unknown>> = Readonly<Rules> & { readonly version: string };

export function resolveProfile<Rules extends object>(book: RuleBook, version: string): Profile<Rules> {
  const parsed = parseVersion(version) ?? [0, 0, 0];
  const rules: Record<string, unknown> = { version };
  for (const [name, history] of Object.entries(book)) {
    for (const entry of history) if (atLeast(parsed, entry.from)) rules[name] = entry.value;
  }
  return rules as Profile<Rules>;
}
