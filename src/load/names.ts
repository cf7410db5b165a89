// Names as people write them: in any case, with or without the vendor, with spaces, dashes or underscores. One key function
// per kind makes them comparable; nearest names answer a miss.
import { distance } from 'fastest-levenshtein';

/** Key of a model name: case and _ do not matter, the organisation does. */
export function modelKey(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/[\s_]+/g, '-');
}

const vendorWords = /\b(nvidia|geforce|tesla|quadro|amd|instinct|radeon|intel|apple|graphics|google|aws)\b/g;

/** Key of a GPU name: only letters, digits and the dot of a MIG profile count; the vendor's words do not. */
export function gpuKey(name: string): string {
  const lower = name
    .trim()
    .toLowerCase()
    .replace(/\((r|tm)\)/g, '');
  const short = lower.replace(vendorWords, ' ').replace(/[^a-z0-9.]+/g, '');
  return short === '' ? lower.replace(/[^a-z0-9.]+/g, '') : short;
}

/** Key of a preset's name as people write it: "Single consumer GPU", "llama.swap", "KVCached". */
export function looseKey(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, '');
}

/** At most `count` of the candidates that are close to `name`, best first. */
export function nearestNames(name: string, candidates: Iterable<string>, count = 3): string[] {
  const wanted = name.toLowerCase();
  const scored: [number, string][] = [];
  for (const candidate of new Set(candidates)) {
    const text = candidate.toLowerCase();
    const edits = distance(wanted, text);
    const inside = Math.min(wanted.length, text.length) >= 3 && (text.includes(wanted) || wanted.includes(text));
    const score = inside ? Math.min(edits, 1) + Math.abs(text.length - wanted.length) / 100 : edits;
    if (inside || edits <= mostEdits(wanted.length)) scored.push([score, candidate]);
  }
  scored.sort((a, b) => a[0] - b[0] || a[1].length - b[1].length || (a[1] < b[1] ? -1 : 1));
  return scored.slice(0, count).map(([, candidate]) => candidate);
}

/** Two edits make another word of three letters: such a name has one. */
function mostEdits(length: number): number {
  return length <= 3 ? 1 : Math.max(2, Math.floor(length * 0.4));
}

/** What the user typed, safe to print: control characters shown as escapes, length bounded. */
export function printable(text: string, limit = 120): string {
  const safe = text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return safe.length > limit ? `${safe.slice(0, limit)}...` : safe;
}
