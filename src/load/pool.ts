// Resolves --pool: a YAML file with several models that share GPUs (schema: vram schema pool). Reads and bounds what is written; what
// the references in it stand for is found where they are used.
import { basename } from 'node:path';
import { InputError, inputError } from '../diagnostics.ts';
import type { PoolLoading, PoolModel, PoolSpec, PoolWorkload, SharedWeights } from '../spec/pool.ts';
import type { PoolFile } from '../spec/pool-schema.ts';
import { parseRate } from '../spec/simulation-values.ts';
import { type LoadContext, readText } from './context.ts';
import { printable } from './names.ts';
import { parseSize } from './size.ts';

const option = '--pool';

/** Throws InputError: VRAM101 and VRAM102 with file:line:column, VRAM730 for minima above maxima. */
export async function resolvePool(ref: string, context: LoadContext): Promise<PoolSpec> {
  const file = ref.trim();
  if (file === '')
    throw inputError('VRAM730', `${option} names no file`, {
      hint: 'e.g. --pool examples/shared-gpu.yaml',
      path: option,
    });
  const text = readText(file, context, option);
  const [{ parseYaml }, { poolSchema }] = await Promise.all([import('./yaml.ts'), import('../spec/pool-schema.ts')]);
  const shown = file === '-' ? 'standard input' : printable(file);
  const { value, diagnostics } = parseYaml<PoolFile>(text, shown, poolSchema);
  if (value === undefined) throw new InputError(diagnostics);
  return poolOf(value, shown);
}

function poolOf(value: PoolFile, file: string): PoolSpec {
  const { gpuMemory, engine, gpuMemoryUtilization, hostMemory, diskRate } = value;
  return {
    file,
    name: value.name ?? basename(file).replace(/\.ya?ml$/i, ''),
    gpu: value.gpu,
    ...(gpuMemory === undefined ? {} : { gpuMemory: String(gpuMemory) }),
    ...(engine === undefined ? {} : { engine }),
    ...(gpuMemoryUtilization === undefined ? {} : { gpuMemoryUtilization }),
    policies: [...new Set([value.policy ?? 'static'].flat())],
    compare: value.compare ?? [],
    policyOptions: value.policyOptions ?? {},
    loadings: [value.loading ?? []]
      .flat()
      .map((loading) => (typeof loading === 'string' ? { preset: loading } : loading) as PoolLoading),
    ...(hostMemory === undefined ? {} : { hostMemoryBytes: bytesOf(hostMemory, `${file}: hostMemory`) }),
    ...(diskRate === undefined ? {} : { diskRate }),
    seed: value.seed ?? 0,
    models: value.models.map((model, i) => modelOf(model, `${file}: models.${i}`)),
  };
}

function modelOf(value: PoolFile['models'][number], place: string): PoolModel {
  const { engine, quantization, devices, workload, slo = {} } = value;
  const minBytes = value.minMemory === undefined ? 0 : bytesOf(value.minMemory, `${place}.minMemory`);
  const maxBytes = value.maxMemory === undefined ? null : bytesOf(value.maxMemory, `${place}.maxMemory`);
  if (maxBytes !== null && maxBytes < minBytes) {
    throw inputError('VRAM730', `the model ${printable(value.id ?? value.model)} keeps more than it may take`, {
      hint: 'maxMemory must be at least minMemory',
      path: `${place}.maxMemory`,
    });
  }
  return {
    id: value.id ?? value.model,
    model: value.model,
    ...(engine === undefined ? {} : { engine }),
    ...(quantization === undefined ? {} : { quantization }),
    options: value.options ?? {},
    ...(devices === undefined ? {} : { devices }),
    ...(workload === undefined ? {} : { workload: workloadOf(workload, `${place}.workload`) }),
    priority: value.priority ?? 0,
    minBytes,
    maxBytes,
    objective: {
      ...(slo.ttft === undefined ? {} : { ttftSeconds: slo.ttft }),
      ...(slo.tpot === undefined ? {} : { tpotSeconds: slo.tpot }),
      ...(slo.scale === undefined ? {} : { scale: slo.scale }),
    },
    weights: value.weights ?? 'resident',
    preloadAt: [value.preloadAt ?? []].flat(),
    shares: [value.shares ?? []]
      .flat()
      .map((share): SharedWeights => (typeof share === 'string' ? { with: share } : share)),
    adapters: typeof value.lora === 'string' ? Number.parseInt(value.lora, 10) : (value.lora ?? 0),
  };
}

function workloadOf(value: NonNullable<PoolFile['models'][number]['workload']>, place: string): PoolWorkload {
  if (typeof value === 'string') return { ref: value };
  const { ref, workloadModel, rate, duration, think, shift, ...same } = value;
  return {
    ref,
    ...same,
    ...(workloadModel === undefined ? {} : { workloadModel: String(workloadModel) }),
    ...(rate === undefined ? {} : { rate: parseRate(typeof rate === 'number' ? `${rate}/s` : rate, `${place}.rate`) }),
    ...(duration === undefined ? {} : { durationSeconds: duration }),
    ...(think === undefined ? {} : { thinkSeconds: think }),
    ...(shift === undefined ? {} : { shiftSeconds: shift }),
  };
}

function bytesOf(value: number | string, place: string): number {
  return typeof value === 'number' ? value : parseSize(value, place);
}
