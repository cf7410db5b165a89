// A directory of files for one test, and the diagnostics that a refused promise carries.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { type Diagnostic, InputError } from '../../../src/diagnostics.ts';

export async function inTemporary(
  files: Readonly<Record<string, string | Uint8Array>>,
  body: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'vram-'));
  try {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), content);
    }
    await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export async function problemsOf(promise: Promise<unknown>): Promise<readonly Diagnostic[]> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  return (error as InputError).diagnostics;
}
