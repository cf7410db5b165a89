// Loads the bundle of one command with the code cache that the build made beside it: for a program this short, compiling is
// most of the start. V8 ignores a cache of another version of itself, and then this is a plain require.
import { existsSync, readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

type Wrapper = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  file: string,
  directory: string,
) => void;

/** `url` of a CommonJS file; the cache is the same name with .cache appended. */
export function loadBundle(url: URL): object {
  const file = fileURLToPath(url);
  const cache = `${file}.cache`;
  const cachedData = existsSync(cache) ? readFileSync(cache) : undefined;
  const script = new Script(Module.wrap(readFileSync(file, 'utf8')), {
    filename: file,
    ...(cachedData ? { cachedData } : {}),
  });
  const module = { exports: {} };
  (script.runInThisContext() as Wrapper)(module.exports, createRequire(url), module, file, dirname(file));
  return module.exports;
}
