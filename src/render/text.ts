// Text from outside (names in files, command lines) never reaches a terminal raw: control characters become visible escapes.
// Also the few layout helpers that plain tables need.

/** C0, DEL, C1, bidirectional overrides and line separators as \xNN or \u{...}. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => {
    const code = c.codePointAt(0)!;
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** Wraps prose at `width`, with `indent` spaces before the second and later lines. */
export function wrap(text: string, width: number, indent = 0): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    const limit = width - (lines.length > 0 ? indent : 0);
    if (line && line.length + 1 + word.length > limit) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  lines.push(line);
  return lines.join(`\n${' '.repeat(indent)}`);
}

export function escapeXml(text: string): string {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return visible(text).replace(/[&<>"']/g, (c) => named[c]!);
}

/** A command over several lines, ready to paste, broken between its pieces: the program, then each option with its value. */
export function brokenCommand(pieces: readonly string[], width: number, indent = ''): string {
  const lines: string[] = [];
  for (const piece of pieces) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + piece.length + 3 <= width) lines[lines.length - 1] = `${last} ${piece}`;
    else lines.push(`${lines.length > 0 ? '    ' : indent}${piece}`);
  }
  return lines.map(visible).join(' \\\n');
}
