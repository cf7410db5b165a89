// Blocks of the README between `<!-- name:start -->` and `<!-- name:end -->` that are generated.
export function replaceBlock(text: string, name: string, lines: readonly string[]): string {
  const block = new RegExp(`<!-- ${name}:start -->[\\s\\S]*<!-- ${name}:end -->`);
  if (!block.test(text)) throw new Error(`README.md has no block ${name}`);
  return text.replace(block, () => `<!-- ${name}:start -->\n${lines.join('\n')}\n<!-- ${name}:end -->`);
}
