// Compares the tensor lists that the architecture families expand with lists of published checkpoints: names, shapes, how
// many. Reads a file like test/ground-truth/tensors.json; prints a line per model that differs and `N passed, N failed`.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { storedShape } from '../src/architecture/build.ts';
import { expandArchitecture } from '../src/architecture/index.ts';
import type { Architecture, TensorGroup } from '../src/architecture/types.ts';
import { loadPresets } from '../src/load/presets.ts';
import type { ModelSpec } from '../src/spec/model.ts';

/** [name pattern, shape, count]; {a..b} and {a,b} in a pattern stand for those indices. */
export type TensorRow = readonly [pattern: string, shape: readonly number[], count: number];

export interface TensorEntry {
  name: string;
  hf_id: string;
  params: number;
  tied: boolean;
  tensors: readonly TensorRow[];
  /** The multi-token-prediction layer, where the reference has one. */
  mtp?: readonly TensorRow[];
  /** The file keeps a copy of a tied head, which is not listed. */
  stored_head?: boolean;
}

export interface TensorFile {
  models: readonly TensorEntry[];
}

/** What differs between our list and the published one; empty when nothing does. */
export function compareEntry(entry: TensorEntry, spec: ModelSpec): string[] {
  const built = expandArchitecture(spec);
  const groups = built.tensors.filter((group) => !group.buffer && !group.derived);
  const main = expandGroups(groups.filter((group) => group.part !== 'mtp'));
  const differences = compareNames(expandRows(entry.tensors), main.names);
  if (main.elements !== entry.params) differences.push(`parameters: ${main.elements}, published ${entry.params}`);
  if (built.tied !== entry.tied) differences.push(`tied: ${built.tied}, published ${entry.tied}`);
  if (entry.mtp) differences.push(...comparePrediction(entry.mtp, built));
  return differences;
}

/** Copies of the embedding and the head beside a prediction layer are stored by some files and listed by none. */
function comparePrediction(rows: readonly TensorRow[], built: Architecture): string[] {
  const copies = /(^|\.)(embed_tokens|shared_head\.head|lm_head)\.weight$/;
  const groups = built.tensors.filter((group) => group.part === 'mtp' && !group.buffer && !copies.test(group.name));
  return compareNames(expandRows(rows), expandGroups(groups).names).map((text) => `mtp ${text}`);
}

function compareNames(published: ReadonlyMap<string, string>, ours: ReadonlyMap<string, string>): string[] {
  const differences: string[] = [];
  for (const [name, shape] of published) {
    const mine = ours.get(name);
    if (mine === undefined) differences.push(`lacks ${name} ${shape}`);
    else if (mine !== shape) differences.push(`${name} ${mine}, published ${shape}`);
  }
  for (const [name, shape] of ours)
    if (!published.has(name)) differences.push(`has ${name} ${shape}, which is not published`);
  return differences;
}

/** Every tensor of the rows by its full name. A count that its pattern contradicts is a fault of the file. */
function expandRows(rows: readonly TensorRow[]): Map<string, string> {
  const out = new Map<string, string>();
  for (const [pattern, shape, count] of rows) {
    const names = expandPattern(pattern);
    if (names.length !== count) throw new Error(`${pattern} stands for ${names.length} tensors, not ${count}`);
    for (const name of names) out.set(name, `[${shape.join(', ')}]`);
  }
  return out;
}

function expandPattern(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open < 0) return [pattern];
  const close = pattern.indexOf('}', open);
  const rest = expandPattern(pattern.slice(close + 1));
  const head = pattern.slice(0, open);
  return expandIndices(pattern.slice(open + 1, close)).flatMap((index) => rest.map((tail) => `${head}${index}${tail}`));
}

function expandIndices(list: string): number[] {
  return list.split(',').flatMap((item) => {
    const [from, to = from] = item.split('..').map(Number);
    return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i);
  });
}

function expandGroups(groups: readonly TensorGroup[]): { names: Map<string, string>; elements: number } {
  const names = new Map<string, string>();
  let elements = 0;
  for (const group of groups) {
    const shape = storedShape(group);
    const size = shape.reduce((a, b) => a * b, 1);
    for (const name of groupNames(group)) {
      names.set(name, `[${shape.join(', ')}]`);
      elements += size;
    }
  }
  return { names, elements };
}

function groupNames({ name, layers, experts, stacked }: TensorGroup): string[] {
  const placed = layers ? layers.map((layer) => name.replaceAll('{layer}', String(layer))) : [name];
  if (experts === undefined || stacked) return placed;
  return placed.flatMap((one) => Array.from({ length: experts }, (_, i) => one.replaceAll('{expert}', String(i))));
}

function main(path: string | undefined): void {
  if (!path) {
    console.error('usage: npm run tensors -- FILE');
    process.exitCode = 2;
    return;
  }
  const file = JSON.parse(readFileSync(path, 'utf8')) as TensorFile;
  const presets = new Map(loadPresets('models').map((spec) => [spec.id, spec]));
  let failed = 0;
  for (const entry of file.models) {
    const differences = judge(entry, presets.get(entry.name));
    if (differences.length === 0) continue;
    failed++;
    const more = differences.length > 3 ? ` ... and ${differences.length - 3} more` : '';
    console.log(`${entry.name}: ${differences.slice(0, 3).join('; ')}${more}`);
  }
  console.log(`${file.models.length - failed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

function judge(entry: TensorEntry, spec: ModelSpec | undefined): string[] {
  if (!spec) return ['no preset'];
  try {
    return compareEntry(entry, spec);
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main(process.argv[2]);
