// Compute buffers of seven builds against what those released llama.cpp builds reserved for real-size models on stand-in devices: partial
// offload, several and unequal GPUs, one of several, none, caches on the host, experts on the host, odd batches and contexts.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildNumber } from '../../../../src/engines/llamacpp/builds.ts';
import { computeBuffers } from '../../../../src/engines/llamacpp/graph/index.ts';
import { readHparams } from '../../../../src/engines/llamacpp/read-hparams.ts';
import type { ComputeBuffers } from '../../../../src/engines/llamacpp/types.ts';
import { ggufOfPreset } from '../../../../src/load/gguf-preset.ts';
import { loadLlamaRules } from '../../../../src/load/presets.ts';
import { load, toMiB } from '../loads.ts';

/** Build, model and mix, GPUs or MiB free on each, flags; per GPU, host, nodes, splits of a prompt and of a token, copies (0: unknown). */
type Observed = [
  string,
  string,
  number | number[],
  string,
  number[],
  number,
  number,
  number,
  number,
  number,
  'measuring'?,
];

const fixture = new URL('../../../fixtures/llamacpp-build-graphs.jsonl', import.meta.url);
const [, ...lines] = readFileSync(fixture, 'utf8').trim().split('\n');
const observed = lines.map((line) => JSON.parse(line) as Observed);

function reserved([build, name, free, flags, gpus, , , , , copies, measuring]: Observed) {
  const [preset = '', mix = ''] = name.split(' ');
  const { model } = ggufOfPreset(preset, mix);
  const freeGiB = typeof free === 'number' ? Array.from({ length: free }, () => 1000) : free.map((n) => n / 1024);
  const { placement, context, caches } = load({ model, build, flags, freeGiB });
  const made = computeBuffers({
    model,
    hparams: readHparams(model),
    context,
    placement,
    caches,
    rules: loadLlamaRules(buildNumber(build)!),
    measuring: measuring !== undefined,
  })!;
  return figures(made, { gpus: gpus.length, copies, inMiB: measuring !== undefined });
}

function figures(made: ComputeBuffers, seen: { gpus: number; copies: number; inMiB: boolean }) {
  const shown = (bytes: number) => (seen.inMiB ? toMiB(bytes) : bytes);
  const gpus = Array.from({ length: seen.gpus }, (_, i) => shown(made.gpus[i] ?? 0));
  const copies = seen.copies === 0 ? 0 : made.copies;
  return [gpus, shown(made.host), made.nodes, made.splits, made.singleSplits, copies];
}

describe.each([...new Set(observed.map(([build]) => build))])('%s', (build) => {
  it.each(observed.filter((run) => run[0] === build))('%s %s, GPUs: %j, %s', (...run) => {
    expect(reserved(run)).toEqual(run.slice(4, 10));
  });
});
