// Builds the script and the style that the page of a comparison carries: dist/compare-client.js and .css. They are put into the page
// whole, so neither may hold what ends its element.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

const { outputFiles } = await build({
  entryPoints: ['main.tsx', 'style.css'].map((file) => ({
    in: `${root}src/render/client/${file}`,
    out: 'compare-client',
  })),
  outdir: `${root}dist`,
  bundle: true,
  minify: true,
  platform: 'browser',
  target: ['chrome109', 'firefox115', 'safari16'],
  format: 'iife',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  tsconfigRaw: '{}',
  define: { 'process.env.NODE_ENV': '"production"' },
  legalComments: 'none',
  write: false,
  logLevel: 'warning',
});
mkdirSync(`${root}dist`, { recursive: true });
for (const { path, text } of outputFiles) {
  if (/<\/(?:script|style)|<!--|\r/i.test(text))
    throw new Error(`${path} holds what would end its element in the page`);
  // Moved into place, so that a program started meanwhile finds one or the other.
  writeFileSync(`${path}.${process.pid}`, text);
  renameSync(`${path}.${process.pid}`, path);
}
