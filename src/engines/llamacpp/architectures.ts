// Which architectures a build can read. Law: src/llama-arch.cpp LLM_ARCH_NAMES of the read builds, as data in
// presets/engines/llamacpp/architectures.yaml.
import { buildNumber } from './builds.ts';
import type { LlamaRuleBook, LlamaRules } from './rules.ts';

interface Names {
  sure: boolean;
  names: readonly string[];
}

const prefix = 'architectures.';

/** Refusal in the build's words; a note where the build lies between one that lacks the architecture and one that has it. */
export function architectureRefusal(architecture: string, rules: LlamaRules): { refusal?: string; note?: string } {
  for (const [name, value] of Object.entries(rules)) {
    if (!name.startsWith(prefix)) continue;
    const { sure, names } = value as Names;
    if (!names.includes(architecture)) continue;
    if (sure) return {};
    const read = name.slice(prefix.length);
    return {
      note: `${read} is the first read build that knows the architecture '${architecture}'; an earlier one may not`,
    };
  }
  return { refusal: `unknown model architecture: '${architecture}'` };
}

/** First read build with an architecture; undefined: none that was read. */
export function firstBuildWith(architecture: string, book: LlamaRuleBook): string | undefined {
  const builds = Object.entries(book)
    .filter(
      ([name, [first]]) => name.startsWith(prefix) && (first?.value as Names | undefined)?.names.includes(architecture),
    )
    .map(([name]) => name.slice(prefix.length));
  return builds.sort((a, b) => (buildNumber(a) ?? 0) - (buildNumber(b) ?? 0))[0];
}
