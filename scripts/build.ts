// Builds what is published: compiled presets and one small CommonJS bundle per command (CommonJS starts faster than ESM).
// Packages that cost start-up time stay outside and are loaded when first needed.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import './build-presets.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const lazyPackages = [
  'yaml',
  'zod',
  'ora',
  'echarts',
  'csv-parse',
  '@huggingface/gguf',
  '@huggingface/hub',
  'shell-quote',
];

/** cli.ts imports ./commands/x.ts on demand; in the bundle that is a plain require of the file x.cjs beside it. */
const commandBundles: Plugin = {
  name: 'command-bundles',
  setup(builder) {
    builder.onLoad({ filter: /src\/cli\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(
        /import\('\.\/commands\/([\w-]+)\.ts'\)/g,
        "Promise.resolve(require('./$1.cjs'))",
      ),
      loader: 'ts',
    }));
    builder.onResolve({ filter: /^\.\/[\w-]+\.cjs$/ }, ({ path }) => ({ path, external: true }));
  },
};

const commands = ['plan', 'list', 'show', 'schema', 'completion', 'root'].map(
  (name) => `${root}src/commands/${name}.ts`,
);
for (const file of readdirSync(`${root}dist`).filter((name) => name.endsWith('.cjs'))) rmSync(`${root}dist/${file}`);
await build({
  entryPoints: [`${root}src/cli.ts`, ...commands],
  entryNames: '[name]',
  outdir: `${root}dist`,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  minify: true,
  keepNames: false,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: lazyPackages,
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: { js: 'const importMetaUrl=require("node:url").pathToFileURL(__filename).href;' },
  plugins: [commandBundles],
  logLevel: 'warning',
});
