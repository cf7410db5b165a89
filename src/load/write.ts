// Writes a file whole or not at all: to a neighbour first, then renamed over the target. What a link points to is written, not the
// link; a device or a pipe is written as it is, since a rename would put a file in its place.
import { realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';

export function writeWhole(file: string, text: string): void {
  const { path, temporary } = writeTarget(file);
  if (temporary === undefined) {
    writeFileSync(path, text);
    return;
  }
  try {
    writeFileSync(temporary, text, { flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Where to write what is to become `file`; without a temporary name it is written in place. */
export function writeTarget(file: string): { path: string; temporary?: string } {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found && !found.isFile() && !found.isDirectory()) return { path: file };
  const path = found ? realpathSync(file) : file;
  return { path, temporary: `${path}.${process.pid}.part` };
}
