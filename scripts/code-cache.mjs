// code-cache.mjs DIR makes DIR/<command>.cjs.cache: V8's compiled code of each bundle, including the functions that a typical run compiles.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Script } from 'node:vm';

const dist = pathToFileURL(`${process.argv[2]}/`);
const typical = {
  plan: ['--model', 'llama-7b', '--gpu', 'rtx4090'],
  simulate: ['--model', 'llama-7b', '--gpu', 'rtx4090', '--workload', 'sharegpt', '--limit', '200'],
  quantize: ['--model', 'llama-3.1-8b', '--gpu', 'rtx4090'],
  list: ['gpus'],
  show: ['gpu', 'rtx4090'],
  schema: ['plan'],
  completion: ['bash'],
  root: ['--help'],
};
/** What `vram plan` hands on for llama.cpp. */
const llamaArguments = {
  model: 'llama-3.1-8b',
  gpu: 'rtx3060',
  engine: 'llama.cpp',
  given: { quantization: 'q4_k_m' },
  llama: { ctxSize: 8192 },
  require: [],
  matrix: false,
  explain: false,
};
const io = {
  out() {},
  err() {},
  env: {},
  columns: 80,
  colour: true,
  errColour: true,

  errIsTerminal: false,
  cwd: '',
};

for (const name of readdirSync(dist).filter((file) => file.endsWith('.cjs') && file !== 'cli.cjs')) {
  const url = new URL(name, dist);
  const file = fileURLToPath(url);
  const script = new Script(Module.wrap(readFileSync(file, 'utf8')), {
    filename: file,
  });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(url), module, file, dirname(file));
  const words = typical[name.replace('.cjs', '')];
  if (words) await module.exports.run(words, io);
  if (name === 'plan-llama.cjs') await module.exports.planLlamaArguments(llamaArguments, io);
  writeFileSync(`${file}.cache`, script.createCachedData());
}
