// Dependencies point downwards only, and the core imports neither node nor the terminal: read off the imports themselves.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const src = fileURLToPath(new URL('../../src/', import.meta.url));
/** Lower layers first; a layer may import itself and what stands before it. */
const layers = [
  'base',
  'spec',
  'architecture',
  'accounting',
  'sim',
  'plan-types',
  'engines',
  'plan',
  'render',
] as const;
const base = new Set([
  '../package.json',
  'units.ts',
  'assert.ts',
  'diagnostics.ts',
  'numbers.ts',
  'shell.ts',
  'io.ts',
  'version.ts',
]);
/** The shape of an answer belongs below the engines that fill it in. */
const planTypes = new Set(['plan/types.ts', 'plan/request.ts']);

function files(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? files(path) : entry.name.endsWith('.ts') ? [path] : [];
  });
}

function layerOf(path: string): number {
  const name = relative(src, path);
  if (base.has(name)) return 0;
  if (planTypes.has(name)) return layers.indexOf('plan-types');
  return layers.indexOf(name.split('/')[0] as (typeof layers)[number]);
}

describe('imports', () => {
  for (const file of files(src)) {
    const from = layerOf(file);
    if (from < 0) continue;
    it(`${relative(src, file)} imports downwards and stays pure`, () => {
      const text = readFileSync(file, 'utf8');
      for (const [statement, target] of text.matchAll(/^(?:import|export)[^'";]*from\s+'([^']+)'/gms)) {
        const typeOnly = /^(?:import|export)\s+type\b/.test(statement);
        if (target!.startsWith('.')) {
          const to = layerOf(join(file, '..', target!));
          expect(to, `${relative(src, file)} -> ${target}`).toBeGreaterThanOrEqual(0);
          if (!typeOnly) expect(to, `${relative(src, file)} -> ${target}`).toBeLessThanOrEqual(from);
        } else if (from < layers.indexOf('render')) {
          const allowed = /^(?:zod|shell-quote|fastest-levenshtein|filtrex|pure-rand\/[\w/]+)$/;
          expect(target, relative(src, file)).toMatch(allowed);
        }
      }
    });
  }
});
