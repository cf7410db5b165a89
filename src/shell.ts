// Quoting for POSIX shells: what comes from a file or a name must stay one word of a generated command.

/** Quotes one argument for a POSIX shell; plain words stay as they are. */
export function shellQuote(argument: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
