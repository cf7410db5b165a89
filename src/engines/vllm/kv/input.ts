// What the KV cache of a start depends on: the model's lists, the GPU, the options with every default filled in, the release.
import type { Architecture } from '../../../architecture/types.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import type { ResolvedOptions } from '../resolved.ts';
import type { KvProfile } from './types.ts';

export interface KvSpecsInput {
  architecture: Architecture;
  model: ModelSpec;
  gpu: GpuSpec;
  options: ResolvedOptions;
  profile: KvProfile;
  /** The drafter's own model, for speculation with a checkpoint of its own. */
  draft?: { architecture: Architecture };
  /** --kv-cache-dtype as the user gave it, before "auto" was resolved. */
  askedKvCacheDtype?: string | undefined;
}
