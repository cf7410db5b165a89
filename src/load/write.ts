// Writes a file whole or not at all: to a neighbour first, then renamed over the target. What a link points to is written, not the
// link; a device or a pipe is written as it is, since a rename would put a file in its place.
import { closeSync, openSync, realpathSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';

export function writeWhole(file: string, text: string): void {
  const whole = openWhole(file);
  try {
    whole.write(text);
    whole.close();
  } catch (error) {
    whole.abandon();
    throw error;
  }
}

/** A file that is written piece by piece, and there whole once it is closed. */
export function openWhole(file: string): { write(text: string): void; close(): void; abandon(): void } {
  const { path, temporary } = writeTarget(file);
  const descriptor = openSync(temporary ?? path, temporary === undefined ? 'w' : 'wx');
  let open = true;
  const end = (): void => {
    if (open) closeSync(descriptor);
    open = false;
  };
  return {
    write(text) {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
    },
    close() {
      end();
      if (temporary !== undefined) renameSync(temporary, path);
    },
    abandon() {
      end();
      if (temporary !== undefined) rmSync(temporary, { force: true });
    },
  };
}

/** Where to write what is to become `file`; without a temporary name it is written in place. */
export function writeTarget(file: string): { path: string; temporary?: string } {
  const found = statSync(file, { throwIfNoEntry: false });
  // Said before the work, not when its result is to be put there.
  if (found?.isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' });
  if (found && !found.isFile()) return { path: file };
  const path = found ? realpathSync(file) : file;
  return { path, temporary: `${path}.${process.pid}.part` };
}
