// What a loader may see of the outside, and how reading a file fails: a missing file is the user's input (exit 2), one that
// may not be read is the environment (exit 3).
import { closeSync, openSync, readSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { inputError, VramError } from '../diagnostics.ts';
import { printable } from './names.ts';

export interface LoadContext {
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  /** Text of standard input, for the file name "-". */
  stdin?: () => string;
  /** Fetches in place of the network, for tests. */
  fetch?: typeof fetch;
}

/** Specs and configs are small; anything larger is not one. */
export const maxTextBytes = 16 * 2 ** 20;

/** Absolute path of what the user typed; ~ is the home directory. */
export function absolute(path: string, context: LoadContext): string {
  const home = context.env?.HOME ?? homedir();
  const expanded = path === '~' ? home : path.startsWith('~/') ? join(home, path.slice(2)) : path;
  return resolve(context.cwd ?? process.cwd(), expanded);
}

/** Text of a small file, or of standard input for "-". */
export function readText(path: string, context: LoadContext, option: string, most = maxTextBytes): string {
  if (path === '-') return context.stdin?.() ?? readBounded(0, path, option, most);
  let handle: number;
  try {
    handle = openSync(absolute(path, context), 'r');
  } catch (error) {
    throw fileError(error, path, option);
  }
  try {
    return readBounded(handle, path, option, most);
  } catch (error) {
    throw fileError(error, path, option);
  } finally {
    closeSync(handle);
  }
}

/** Reads piece by piece: a pipe or a device has no size to look at first, and may never end. */
function readBounded(handle: number, path: string, option: string, most: number): string {
  const pieces: Buffer[] = [];
  let length = 0;
  for (;;) {
    const piece = Buffer.allocUnsafe(length === 0 ? 2 ** 16 : 2 ** 20);
    const read = readSync(handle, piece);
    if (read === 0)
      return Buffer.concat(pieces, length)
        .toString('utf8')
        .replace(/^\uFEFF/, '');
    length += read;
    if (length > most) throw tooLarge(path, option, most);
    pieces.push(piece.subarray(0, read));
  }
}

function tooLarge(path: string, option: string, most: number): Error {
  return inputError(
    'VRAM112',
    `${printable(path)} is larger than ${most / 2 ** 20} MiB${most === maxTextBytes ? ': not a spec or config' : ''}`,
    {
      path: option,
    },
  );
}

/** The user's fault, the environment's, or a bug: a caught error as the one to throw. */
export function fileError(error: unknown, path: string, option: string): unknown {
  const shown = printable(path);
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return inputError('VRAM111', `${shown}: no such file or directory`, { path: option });
    case 'EISDIR':
      return inputError('VRAM111', `${shown} is a directory, not a file`, { path: option });
    case 'ENAMETOOLONG':
    case 'ERR_INVALID_ARG_VALUE':
      return inputError('VRAM111', `${shown} is not a file name`, { path: option });
    case 'EACCES':
    case 'EPERM':
      return new VramError('VRAM190', `${shown} may not be read`, 'check its permissions', { cause: error });
    case 'EIO':
    case 'EMFILE':
    case 'ENFILE':
      return new VramError('VRAM190', `${shown} could not be read: ${(error as Error).message}`, undefined, {
        cause: error,
      });
    default:
      return error;
  }
}

/** Refuses a command line that reads standard input for several options: the second would find it empty. */
export function standardInputOnce(refs: Readonly<Record<string, string | undefined>>): void {
  const options = Object.keys(refs).filter((option) => refs[option]?.trim() === '-');
  if (options.length < 2) return;
  throw inputError('VRAM617', `standard input (-) can be read only once, and ${options.join(' and ')} want it`, {
    hint: 'save one of them to a file',
    path: options.at(-1)!,
  });
}
