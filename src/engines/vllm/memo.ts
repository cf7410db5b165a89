// Sweeps plan the same model on many GPUs: what depends on the model, the release and the layout alone is computed once per
// model, for the plans of the moment. Keys hold every input that the rules read.
import { expandArchitecture } from '../../architecture/index.ts';
import { cacheSummary } from '../../architecture/summary.ts';
import type { Architecture } from '../../architecture/types.ts';
import type { PlanRequest } from '../../plan/request.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { ModelSpec } from '../../spec/model.ts';
import { identity, recent } from '../recent.ts';
import { type KvSpecs, kvLayerSpecs } from './kv/specs.ts';
import type { KvProfile } from './kv/types.ts';
import type { Profile } from './profile.ts';
import type { ResolvedOptions } from './resolved.ts';
import { layoutGeneration, rankWeights, rocmLayout } from './weights/index.ts';
import type { WeightRules } from './weights/rules.ts';
import type { RankWeights } from './weights/types.ts';

const architectures = new WeakMap<ModelSpec, Architecture>();
const weights = recent<RankWeights | { error: string }>(20_000);
const stages = recent<KvSpecs>(1000);

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
  place: at,
}: Subject & { gpu: GpuSpec; place: { tensorRank: number; stage: number } }): RankWeights | { error: string } {
  // Whole experts may divide unevenly; everything else is split into equal shards.
  const place = { ...at, tensorRank: resolved.enableExpertParallel ? at.tensorRank : 0 };
  const key = `${optionsKey(request, resolved, weightsReadBatch(architecture, resolved))}/${place.stage}/${place.tensorRank}/${weightsGpuKey(request, architecture, gpu, resolved)}`;
  return weights(key, () =>
    rankWeights({
      spec: request.spec,
      architecture,
      scheme: request.scheme,
      profile: request.profile,
      gpu,
      options: resolved,
      place,
      ...(request.draft ? { draft: { ...request.draft, architecture: architectureOf(request.draft.spec) } } : {}),
    }),
  );
}

export function stagesOf({ request, architecture, resolved }: Subject): KvSpecs {
  const gpu = request.gpus[0]!;
  const key = `${optionsKey(request, resolved, cacheSummary(architecture).kinds.has('cross'))}/${request.options.kvCacheDtype}/${cacheGpuKey(gpu, resolved)}`;
  return stages(key, () =>
    kvLayerSpecs({
      model: request.spec,
      architecture,
      gpu,
      options: resolved,
      profile: request.profile as KvProfile,
      askedKvCacheDtype: request.options.kvCacheDtype,
      ...(request.draft ? { draft: { architecture: architectureOf(request.draft.spec) } } : {}),
    }),
  );
}

/**
 * 16-bit weights are the same on every GPU, but for the buffers that latent and sparse attention and NVFP4 caches bring along;
 * the layout of quantized ones goes by the kernel, so by generation, and Marlin's workspace, where counted, by multiprocessors.
 */
function weightsGpuKey(
  { scheme, profile }: PlanRequest,
  architecture: Architecture,
  gpu: GpuSpec,
  { kvCacheDtype }: ResolvedOptions,
): string {
  const locks = (profile as Profile<WeightRules>)['weights.marlinLocksPerLayer'] ? gpu.multiprocessors : '';
  const generation = rocmLayout(gpu) ?? layoutGeneration(gpu.computeCapability);
  if (scheme) return `${generation}/${locks}`;
  return architecture.attention === 'mla' || kvCacheDtype.startsWith('nvfp4') ? `${generation}` : '';
}

/** Backends are chosen by generation (0: not by CUDA); only the refusal of an fp8 cache names the capability itself. */
function cacheGpuKey(gpu: GpuSpec, { kvCacheDtype }: ResolvedOptions): string {
  if (kvCacheDtype.startsWith('fp8')) return `${gpu.vendor}/${gpu.computeCapability}`;
  return `${layoutGeneration(gpu.computeCapability)}`;
}

/** Buffers that grow with the batch: of towers, of sparse and latent attention, of drafters, beside an NVFP4 cache. */
function weightsReadBatch(architecture: Architecture, { kvCacheDtype, speculativeTokens }: ResolvedOptions): boolean {
  const { kinds } = cacheSummary(architecture);
  const grows = kinds.has('mla') || kinds.has('indexer') || kinds.has('special') || architecture.tower !== undefined;
  return grows || speculativeTokens > 0 || kvCacheDtype.startsWith('nvfp4');
}

/** Every option but those that move with the memory of a GPU and that the rules do not read. */
function optionsKey(
  { spec, profile, scheme, draft }: PlanRequest,
  resolved: ResolvedOptions,
  readsBatch: boolean,
): string {
  return `${identity(spec)}/${identity(scheme)}/${identity(draft?.spec)}/${profile.version}/${optionsText(resolved, readsBatch)}`;
}

/** Sweeps ask for the same options again and again: the last ones are compared before they are written out anew. */
const last: Record<'batch' | 'rest', { options: ResolvedOptions; text: string } | undefined> = {
  batch: undefined,
  rest: undefined,
};

function optionsText(resolved: ResolvedOptions, readsBatch: boolean): string {
  const slot = readsBatch ? 'batch' : 'rest';
  const before = last[slot];
  if (before && (before.options === resolved || isSame(before.options, resolved, readsBatch))) return before.text;
  const text = JSON.stringify(Object.entries(resolved).filter(([key]) => isRead(key, readsBatch)));
  last[slot] = { options: resolved, text };
  return text;
}

const unread: ReadonlySet<string> = new Set([
  'captureSizes',
  'cudagraphMode',
  'gpuMemoryUtilization',
  'kvCacheMemoryBytes',
  'autoMaxModelLen',
]);
const batch: ReadonlySet<string> = new Set(['maxNumSeqs', 'maxNumBatchedTokens']);

function isRead(key: string, readsBatch: boolean): boolean {
  return !unread.has(key) && (readsBatch || !batch.has(key));
}

function isSame(a: ResolvedOptions, b: ResolvedOptions, readsBatch: boolean): boolean {
  let keys = 0;
  for (const key in b) {
    keys++;
    if (a[key as keyof ResolvedOptions] !== b[key as keyof ResolvedOptions] && isRead(key, readsBatch)) return false;
  }
  for (const _ in a) keys--;
  return keys === 0;
}
