// Combinations that a release refuses before any weight is made, with its own text. Law: vLLM config/model.py
// verify_with_parallel_config, config/vllm.py.
import type { LayoutContext } from './layouts/types.ts';
import type { WeightRules } from './rules.ts';
import { type LinearModule, refuse, type WeightsInput } from './types.ts';

export function checkInput(input: WeightsInput): void {
  checkHeads(input);
  checkPipeline(input);
  checkMixture(input);
  checkMethod(input);
}

function checkHeads({ spec, options }: WeightsInput): void {
  const tp = options.tensorParallelSize;
  const { heads } = spec.config;
  if (heads !== undefined && heads % tp !== 0) {
    refuse(`Total number of attention heads (${heads}) must be divisible by tensor parallel size (${tp}).`);
  }
}

function checkPipeline({ spec, architecture, options, profile }: WeightsInput): void {
  if (options.pipelineParallelSize === 1) return;
  const rules = profile as Partial<WeightRules>;
  if (rules['weights.withoutPipeline']?.includes(spec.architecture)) {
    refuse(
      'NotImplementedError: Pipeline parallelism is not supported for this model. Supported models implement the `SupportsPP` interface.',
    );
  }
  if (architecture.tied && rules['weights.tiedPipelineFails']?.includes(spec.architecture)) {
    refuse("AttributeError: 'PPMissingLayer' object has no attribute 'tie_weights'");
  }
}

function checkMixture({ spec, architecture, profile }: WeightsInput): void {
  const failure = (profile as Partial<WeightRules>)['weights.mixtureFails']?.[spec.architecture];
  if (failure && architecture.forward.moe) refuse(failure);
}

function checkMethod({ scheme, profile }: WeightsInput): void {
  if (!scheme) return;
  const rules = profile as Partial<WeightRules>;
  const gone = rules['weights.unknownMethods']?.[scheme.method];
  if (gone) refuse(gone);
  if (scheme.actOrder && rules['weights.refuseActOrder']) refuse(rules['weights.refuseActOrder']);
}

/** Shapes that a scheme cannot split: groups and blocks must be whole on every rank (tensor parallel size `tp`). */
export function checkLinear(module: LinearModule, context: LayoutContext, tp: number): void {
  const { scheme } = context;
  const { inputs, outputs, parallel } = module;
  if (scheme.format === 'fp8-block') {
    checkBlocks(module, context, tp);
    return;
  }
  const group = scheme.group ?? 0;
  if (group <= 0 || inputs % group === 0) return;
  if (scheme.format === 'awq') {
    refuse(
      'ValueError: The input size is not aligned with the quantized weight shape. This can be caused by too large tensor parallel size.',
    );
  }
  if (scheme.format === 'int-group' && (parallel === 'row' || inputs % 64 !== 0)) {
    refuse(
      `ValueError: Weight input_size_per_partition=${inputs} for layer '${module.name}' is not divisible by group_size=${group}. This happens when tensor_parallel_size splits the layer input into shards that are not a whole number of quant groups. Consider reducing tensor_parallel_size.`,
    );
  }
  // Machete alone takes broken groups: on 9.0, in tiles of 64 x 128 (kernels/mixed_precision/machete.py, MarlinLinearKernel).
  const machete = context.capability === 90 && inputs % 64 === 0;
  if (scheme.format === 'gptq' ? !machete : scheme.format === 'int-group' && !(machete && outputs % 128 === 0)) {
    refuse('ValueError: Failed to find a kernel that can implement the WNA16 linear layer.');
  }
}

/** quantization/utils/fp8_utils.py validate_fp8_block_shape: of a merged linear that is not split, the last part may end anywhere. */
function checkBlocks(module: LinearModule, { rules, scheme }: LayoutContext, tp: number): void {
  if (tp === 1) return;
  const [outputs, inputs] = scheme.block ?? [128, 128];
  if (module.parallel === 'row' && module.inputs % inputs !== 0) {
    refuse(
      `ValueError: Weight input_size_per_partition = ${module.inputs} is not divisible by weight quantization block_k = ${inputs}.`,
    );
  }
  if (module.members.length > 1 && rules['weights.fp8BlockMergedCuts'] && scheme.method === 'fp8') return;
  const isSplit = module.parallel === 'column' && module.members.every((member) => !isWhole(member));
  for (const { rows } of isSplit ? module.members : module.members.slice(0, -1)) {
    if (rows % outputs !== 0) {
      refuse(
        `ValueError: Weight output_partition_size = ${rows} is not divisible by weight quantization block_n = ${outputs}.`,
      );
    }
  }
}

/** Held whole by every rank; heads of K and V that ranks share count as split. */
function isWhole({ rows, fullRows, role }: LinearModule['members'][number]): boolean {
  return rows === fullRows && !['q', 'k', 'v', 'qkv'].includes(role);
}
