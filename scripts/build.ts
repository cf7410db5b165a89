// Builds what is published: compiled presets and one small CommonJS bundle per command (CommonJS starts faster than ESM).
// Packages that cost start-up time stay outside and are loaded when first needed.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import './build-client.ts';
import './build-presets.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const lazyPackages = ['yaml', 'zod', 'echarts'];

/** Modules that are imported on demand from `in`, and become a file beside the others. */
const separate = [
  { in: /src\/commands\/plan\.ts$/, bundles: ['plan-pool'] },
  { in: /src\/commands\/plan-request\.ts$/, bundles: ['plan-llama', 'plan-parallel', 'plan-several'] },
  { in: /src\/commands\/plan-render\.ts$/, bundles: ['plan-parallel', 'plan-several'] },
  { in: /src\/commands\/simulate\.ts$/, bundles: ['simulate-pool'] },
  { in: /src\/load\/model\.ts$/, bundles: ['read-gguf'] },
  { in: /src\/commands\/deployed-command\.ts$/, bundles: ['deployment'] },
];

/** cli.ts imports ./commands/x.ts on demand; in the bundle that is the file x.cjs beside it, with its code cache. */
const commandBundles: Plugin = {
  name: 'command-bundles',
  setup(builder) {
    builder.onLoad({ filter: /src\/cli\.ts$/ }, ({ path }) => ({
      contents: `import { loadBundle } from './bundle.ts';
        const command = async (name) => loadBundle(new URL('./' + name, import.meta.url));
        ${readFileSync(path, 'utf8').replace(/import\('\.\/commands\/([\w-]+)\.ts'\)/g, "command('$1.cjs')")}`,
      loader: 'ts',
    }));
    // Bundles of their own, for what not every plan reads: llama.cpp's plans, GGUF files.
    for (const { in: file, bundles } of separate) {
      const from = new RegExp(String.raw`import\('\./(${bundles.join('|')})\.ts'\)`, 'g');
      builder.onLoad({ filter: file }, ({ path }) => ({
        contents: `import { loadBundle } from '../bundle.ts';
          ${readFileSync(path, 'utf8').replace(from, "loadBundle(new URL('./$1.cjs', import.meta.url)) as never")}`,
        loader: 'ts',
      }));
    }
    // commander starts other programs only for subcommands in files of their own; loading what that takes costs milliseconds.
    builder.onLoad({ filter: /commander\/lib\/command\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8')
        .replace("const childProcess = require('node:child_process');", '')
        .replaceAll('childProcess.', "require('node:child_process')."),
      loader: 'js',
    }));
    // What chalk finds out about the streams is not used (cli.ts decides), and takes node:tty and all of node:net to find out.
    builder.onLoad({ filter: /chalk\/source\/vendor\/supports-color\/index\.js$/ }, () => ({
      contents: 'export default { stdout: false, stderr: false };',
      loader: 'js',
    }));
    // cli-table3 asks for the width of emoji with a 10 KB expression that takes a millisecond to compile at every start; Unicode's
    // own property finds the same characters.
    builder.onLoad({ filter: /emoji-regex\/index\.js$/ }, () => ({
      contents: 'module.exports = () => /\\p{RI}{2}|\\p{Emoji_Presentation}|\\p{Emoji}\\uFE0F/gu;',
      loader: 'js',
    }));
  },
};

const commands = [
  'plan',
  'plan-llama',
  'plan-parallel',
  'plan-pool',
  'plan-several',
  'deployment',
  'simulate',
  'simulate-worker',
  'simulate-pool',
  'simulate-pool-worker',
  'compare',
  'compare-worker',
  'quantize',
  'list',
  'show',
  'schema',
  'completion',
  'root',
  'progress',
].map((name) => `${root}src/commands/${name}.ts`);
const others = [`${root}src/load/read-gguf.ts`];
// Built beside the old bundles and moved over them, so that a program started meanwhile finds one or the other.
const next = `${root}dist/next-${process.pid}`;
await build({
  entryPoints: [`${root}src/cli.ts`, `${root}src/index.ts`, ...commands, ...others],
  entryNames: '[name]',
  outdir: next,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  minify: true,
  keepNames: false,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: lazyPackages,
  // A script run with a code cache has no import(); require serves, since these packages come as CommonJS too.
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: { js: 'const importMetaUrl=require("node:url").pathToFileURL(__filename).href;' },
  plugins: [commandBundles],
  logLevel: 'warning',
});

// The cache holds what a plan compiles, so it is made after one; in a process of its own, as a user's would be.
execFileSync(process.execPath, [`${root}scripts/code-cache.mjs`, next], { stdio: 'inherit' });
for (const file of readdirSync(next)) renameSync(`${next}/${file}`, `${root}dist/${file}`);
rmSync(next, { recursive: true });
