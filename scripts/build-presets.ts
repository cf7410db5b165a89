// Compiles presets/**/*.yaml to one JSON per kind in dist/presets/, after validation: parsing hundreds of YAML files at
// start-up would cost more than the rest of the program.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const root = new URL('..', import.meta.url).pathname;
const out = join(root, 'dist/presets');

function yamlFiles(dir: string): string[] {
  return readdirSync(join(root, dir), { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.yaml'))
    .map((entry) => join(dir, entry.name))
    .sort();
}

function load(path: string): unknown {
  return parse(readFileSync(join(root, path), 'utf8'), { maxAliasCount: 0 });
}

mkdirSync(out, { recursive: true });
for (const kind of ['models', 'gpus', 'quantizations', 'workloads', 'deployments']) {
  const entries = yamlFiles(`presets/${kind}`).flatMap((path) => load(path) as object[] | object);
  writeFileSync(join(out, `${kind}.json`), JSON.stringify(entries));
}
const rules = Object.assign(
  {},
  ...yamlFiles('presets/engines/vllm').map((path) => (load(path) as { rules?: object }).rules ?? {}),
);
writeFileSync(join(out, 'vllm-rules.json'), JSON.stringify(rules));
