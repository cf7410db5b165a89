// Sweeps plan the same model on many GPUs: what depends on the model, the release and the layout alone is computed once per
// model and kept as long as the model is. Keys hold every input that the rules read.
import { expandArchitecture } from '../../architecture/index.ts';
import type { Architecture } from '../../architecture/types.ts';
import type { PlanRequest } from '../../plan/request.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { ModelSpec } from '../../spec/model.ts';
import { type KvSpecs, kvLayerSpecs } from './kv/specs.ts';
import type { KvProfile } from './kv/types.ts';
import type { ResolvedOptions } from './resolved.ts';
import { rankWeights } from './weights/index.ts';
import type { RankWeights } from './weights/types.ts';

const architectures = new WeakMap<ModelSpec, Architecture>();
const weights = new WeakMap<ModelSpec, Map<string, RankWeights | { error: string }>>();
const stages = new WeakMap<ModelSpec, Map<string, KvSpecs>>();

export function architectureOf(spec: ModelSpec): Architecture {
  let architecture = architectures.get(spec);
  if (!architecture) {
    architecture = expandArchitecture(spec);
    architectures.set(spec, architecture);
  }
  return architecture;
}

interface Subject {
  request: PlanRequest;
  architecture: Architecture;
  resolved: ResolvedOptions;
}

export function weightsOf({
  request,
  architecture,
  resolved,
  gpu,
  place,
}: Subject & { gpu: GpuSpec; place: { tensorRank: number; stage: number } }): RankWeights | { error: string } {
  const key = `${commonKey(request, resolved, gpu)}/${place.stage}/${place.tensorRank}`;
  return remember(weights, request.spec, key, () =>
    rankWeights({
      spec: request.spec,
      architecture,
      scheme: request.scheme,
      profile: request.profile,
      gpu,
      options: resolved,
      place,
    }),
  );
}

export function stagesOf({ request, architecture, resolved }: Subject): KvSpecs {
  const gpu = request.gpus[0]!;
  return remember(stages, request.spec, commonKey(request, resolved, gpu), () =>
    kvLayerSpecs({
      model: request.spec,
      architecture,
      gpu,
      options: resolved,
      profile: request.profile as KvProfile,
      askedKvCacheDtype: request.options.kvCacheDtype,
    }),
  );
}

function commonKey(request: PlanRequest, resolved: ResolvedOptions, gpu: GpuSpec): string {
  const { captureSizes, cudagraphMode, gpuMemoryUtilization, kvCacheMemoryBytes, ...rest } = resolved;
  return `${request.release}/${request.scheme?.id ?? ''}/${gpu.vendor}/${gpu.computeCapability}/${gpu.multiprocessors}/${JSON.stringify(rest)}`;
}

function remember<Value>(
  memo: WeakMap<ModelSpec, Map<string, Value>>,
  spec: ModelSpec,
  key: string,
  make: () => Value,
): Value {
  let values = memo.get(spec);
  if (!values) {
    values = new Map();
    memo.set(spec, values);
  }
  let value = values.get(key);
  if (value === undefined) {
    value = make();
    values.set(key, value);
  }
  return value;
}
