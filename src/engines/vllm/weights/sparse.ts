// Index tables of sparse attention (DeepSeek-V3.2, GLM-5, DeepSeek-V4), which the model classes allocate with the weights:
// the chosen tokens, per indexer the cache rows they lie in, and per layer the offsets of FlashAttention's sparse MLA. Law:
// vllm/model_executor/models/deepseek_v2.py, v1/attention/backends/mla/{index_group,flashattn_mla_sparse}.py.
import type { LayerCaches } from '../../../architecture/types.ts';
import type { StageLayers } from './attention.ts';
import type { WeightRules } from './rules.ts';
import type { DeviceTensor, WeightsInput } from './types.ts';

const int32 = 4;

export function sparseIndexTables(input: WeightsInput, layers: StageLayers): DeviceTensor[] {
  const rule = (input.profile as Partial<WeightRules>)['weights.sparseIndices'];
  const topk = input.spec.config.indexTopk;
  if (!rule || typeof topk !== 'number') return [];
  const own = input.architecture.caches.filter(({ layer }) => layer >= layers.start && layer < layers.end);
  const { maxNumBatchedTokens: tokens } = input.options;
  const part = 'attention';
  const out: DeviceTensor[] = [{ name: 'topk indices', bytes: tokens * topk * int32, part }];
  const sparse = own.filter((entry) => entry.caches.some((cache) => cache.kind === 'mla' && cache.sparse));
  if (rule.groups) {
    const bytes = groupBytes(maximumRows(input), topk, rule.groups.perRow);
    for (let i = 0; i < indexGroups(sparse); i++) out.push({ name: `index group ${i}`, bytes, part });
  }
  const flashAttention = rule.flashAttention === true && takesFlashAttention(input);
  if (flashAttention && rule.flashAttentionOffsets) {
    for (const { layer } of sparse) out.push({ name: `layer ${layer} offsets`, bytes: (tokens + 1) * int32, part });
  }
  if (!flashAttention && rule.queryWorkspace && sparse.length > 0) {
    out.push({ name: 'sparse MLA workspace', bytes: workspaceBytes(input), part });
  }
  return out;
}

/** Rows of one decode step: min(batched tokens, sequences x (1 + speculative tokens)). */
function maximumRows({ options }: WeightsInput): number {
  return Math.min(options.maxNumBatchedTokens, options.maxNumSeqs * (1 + options.speculativeTokens));
}

/** (rows + 1) x (topk + 1): cache rows and their count; 0.30 keeps a request id per row besides. */
function groupBytes(rows: number, topk: number, perRow: number): number {
  return ((rows + 1) * (topk + 1) + rows * (perRow - 1)) * int32;
}

/** Every layer with an indexer opens a group; so does the first layer of a stage. */
function indexGroups(layers: readonly LayerCaches[]): number {
  return layers.filter((entry, i) => i === 0 || entry.caches.some((cache) => cache.kind === 'indexer')).length;
}

/** FlashAttention's sparse MLA runs on capability 9.0 with a 16-bit cache. */
function takesFlashAttention({ gpu, options }: WeightsInput): boolean {
  return gpu.computeCapability === '9.0' && ['auto', 'bfloat16', 'float16'].includes(options.kvCacheDtype);
}

/** Queries of a batch in 16 bit, tokens x heads / tp x latent; with an fp8 cache also five contexts of keys. */
function workspaceBytes({ spec, architecture, options }: WeightsInput): number {
  const latent = architecture.forward.kvDim;
  const queries = options.maxNumBatchedTokens * Math.ceil(spec.config.heads / options.tensorParallelSize);
  const keys = options.kvCacheDtype.startsWith('fp8') ? 5 * options.maxModelLen : 0;
  return (queries + keys) * latent * 2;
}
