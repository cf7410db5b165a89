// What a release says to a parallel layout before it loads anything: expert parallelism without experts, and decode context
// parallelism on sizes or heads that it cannot share. Texts and releases: presets/engines/vllm/parallel.yaml.
import { attentionSizes } from '../../../architecture/build.ts';
import type { Architecture } from '../../../architecture/types.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import type { Profile } from '../profile.ts';

/** Absent where a release does not look. */
interface ParallelRules {
  'parallel.expertsNeeded'?: string;
  'parallel.contextDivides'?: string;
  'parallel.contextHeads'?: { few: string; many: string; uneven: string };
}

/** The text of the refusal, or undefined. */
export function parallelRefusal(
  options: EngineOptions,
  spec: ModelSpec,
  architecture: Architecture,
  profile: Profile,
): string | undefined {
  const rules = profile as ParallelRules;
  if (options.enableExpertParallel && !architecture.forward.moe && rules['parallel.expertsNeeded'])
    return rules['parallel.expertsNeeded'];
  return contextRefusal(options, spec, architecture, rules);
}

/**
 * The ranks of one context group hold the same KV heads, so it cannot be wider than tensor parallelism repeats them; a latent
 * cache is on every rank anyway. vLLM config/model.py verify_with_parallel_config, from 0.12.
 */
function contextRefusal(
  { tensorParallelSize: tp, decodeContextParallelSize: dcp }: EngineOptions,
  spec: ModelSpec,
  architecture: Architecture,
  rules: ParallelRules,
): string | undefined {
  if (dcp === 1) return undefined;
  const sizes = { tp, dcp };
  if (tp % dcp !== 0 && rules['parallel.contextDivides']) return filled(rules['parallel.contextDivides'], sizes);
  const texts = rules['parallel.contextHeads'];
  if (!texts || architecture.attention === 'mla') return undefined;
  const { heads, kv } = attentionSizes(spec.config);
  if (tp <= kv) return filled(texts.few, { ...sizes, kv });
  const most = Math.floor(tp / kv);
  if (dcp > most) return filled(texts.many, { ...sizes, kv, most });
  const ratio = Math.floor(heads / kv);
  return ratio % dcp === 0 ? undefined : filled(texts.uneven, { ...sizes, ratio });
}

function filled(text: string, values: Readonly<Record<string, number>>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]));
}
