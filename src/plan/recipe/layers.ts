// Sets of layers, as a regular expression that matches exactly their numbers and as words for a table.

/** {0..31} -> ([0-9]|[12][0-9]|3[01]); numbers ascending, without repeats. */
export function layerPattern(layers: readonly number[]): string {
  const digits = new Map<string, string>();
  for (const layer of layers) {
    const text = String(layer);
    const tens = text.slice(0, -1);
    digits.set(tens, (digits.get(tens) ?? '') + text.at(-1));
  }
  const tensOf = new Map<string, string[]>();
  for (const [tens, ones] of digits) tensOf.set(ones, [...(tensOf.get(ones) ?? []), tens]);
  const parts: { first: number; text: string }[] = [];
  for (const [ones, all] of tensOf) {
    const add = (tens: string, text: string) => parts.push({ first: Number(tens + ones[0]), text });
    if (all.includes('')) add('', oneOf(ones));
    const short = all.filter((tens) => tens.length === 1);
    if (short.length > 0) add(short[0]!, oneOf(short.join('')) + oneOf(ones));
    for (const tens of all.filter((tens) => tens.length > 1)) add(tens, tens + oneOf(ones));
  }
  const texts = parts.sort((a, b) => a.first - b.first).map(({ text }) => text);
  return texts.length === 1 ? texts[0]! : `(${texts.join('|')})`;
}

/** One of these digits: [0-9], [14], 7. */
function oneOf(digits: string): string {
  if (digits.length === 1) return digits;
  const runs = runsOf([...digits].map(Number), 3);
  return `[${runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join('')}]`;
}

/** 0-3, 6, 9, 12 -> "0-3, 6, 9, 12"; long steps are cut short: "0-3, 6, 9, ..., 27". */
export function layerWords(layers: readonly number[]): string {
  if (layers.length === 0) return '-';
  const words: string[] = [];
  for (let i = 0; i < layers.length; ) {
    const stride = (layers[i + 1] ?? 0) - layers[i]!;
    let end = i;
    while (end + 1 < layers.length && layers[end + 1]! - layers[end]! === stride) end++;
    const [first, last] = [layers[i]!, layers[end]!];
    if (stride === 1 && end > i) words.push(`${first}-${last}`);
    else if (end - i >= 3) words.push(`${first}, ${layers[i + 1]}, ..., ${last}`);
    else {
      words.push(`${first}`);
      end = i;
    }
    i = end + 1;
  }
  return words.join(', ');
}

/** Runs of consecutive numbers, those shorter than `least` as single ones. */
function runsOf(numbers: readonly number[], least: number): { first: number; last: number }[] {
  const runs: { first: number; last: number }[] = [];
  for (const n of numbers) {
    const run = runs.at(-1);
    if (run && n === run.last + 1) run.last = n;
    else runs.push({ first: n, last: n });
  }
  return runs.flatMap(({ first, last }) =>
    last - first + 1 >= least
      ? [{ first, last }]
      : Array.from({ length: last - first + 1 }, (_, i) => ({ first: first + i, last: first + i })),
  );
}
