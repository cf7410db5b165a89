// The law of one llama.cpp build as data: presets/engines/llamacpp/*.yaml hold the history of every rule, [{ from, value, source }]
// with builds as `from`. Code reads the rules of its build and never compares build numbers.
import { buildNumber, readBuilds } from './builds.ts';

export interface LlamaRuleEntry {
  /** First build that the value is known to hold for. */
  from: string;
  value: unknown;
  source?: string;
}
export type LlamaRuleBook = Readonly<Record<string, readonly LlamaRuleEntry[]>>;

/** Rule name -> value, as they stood in one build. Every module declares the rules it reads and narrows this type. */
export type LlamaRules = Readonly<Record<string, unknown>>;

/** Before the oldest build read its rules hold, unless an older entry says otherwise. */
export function resolveLlamaRules(book: LlamaRuleBook, build: number): LlamaRules {
  const rules: Record<string, unknown> = {};
  for (const [name, history] of Object.entries(book)) {
    const [first] = history;
    if (first && first.from === readBuilds[0]) rules[name] = first.value;
    for (const entry of history) if ((buildNumber(entry.from) ?? 0) <= build) rules[name] = entry.value;
  }
  return rules;
}
