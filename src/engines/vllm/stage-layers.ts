// The decoder layers of every pipeline stage of a planned start: the split of the release, or the one that the environment states.
// Law: pipeline.ts.
import type { Architecture } from '../../architecture/types.ts';
import type { ModelSpec } from '../../spec/model.ts';
import { type PipelineSplit, stageBounds } from './pipeline.ts';
import type { Profile } from './profile.ts';

export interface LayersInput {
  architecture: Architecture;
  spec: ModelSpec;
  profile: Profile;
  options: { pipelineParallelSize: number; env?: Record<string, string> };
}

/** A configuration that leaves its layers to its class has them in the cache list only. */
export function layerCount({ architecture, spec }: Pick<LayersInput, 'architecture' | 'spec'>): number {
  return architecture.caches.reduce((most, entry) => Math.max(most, entry.layer + 1), spec.config.layers ?? 0);
}

/** [start, end) of every stage; undefined where the release refuses the partition. */
export function stageLayers(input: LayersInput): { start: number; end: number }[] | undefined {
  const { profile, options } = input;
  const bounds = stageBounds({
    layers: layerCount(input),
    stages: options.pipelineParallelSize,
    split: (profile as { 'weights.pipelineSplit'?: PipelineSplit })['weights.pipelineSplit'] ?? 'remainder-before-last',
    partition: options.env?.VLLM_PP_LAYER_PARTITION,
  });
  if ('error' in bounds) return undefined;
  return bounds.slice(1).map((end, stage) => ({ start: bounds[stage]!, end }));
}
