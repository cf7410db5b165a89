// Flags that say in other words what an option of ours says: graph sizes and speculation as older releases wrote them, and
// optimization level 0, which is what --enforce-eager sets (vllm/config/vllm.py, vllm/engine/arg_utils.py).
import type { ReadOption } from './from-command.ts';

export function inOurTerms(options: readonly ReadOption[]): ReadOption[] {
  const speculative = speculation(options);
  const rest = options.filter(({ flag }) => !speculative || !speculativeFlags.has(flag));
  return [...rest.map(translated), ...(speculative ? [speculative] : [])];
}

function translated(option: ReadOption): ReadOption {
  const { flag, value, written } = option;
  if (flag === '--optimization-level' && /^O?0$/i.test(String(value)))
    return { flag: '--enforce-eager', value: true, written };
  if (flag === '--compilation-config' && typeof value === 'string') {
    // Before 0.12 a bare number was the level.
    if (value === '0' || isLevelZero(value)) return { flag: '--enforce-eager', value: true, written };
    if (/^\d$/.test(value)) return { ...option, value: `{"level":${value}}` };
  }
  if (flag === '--cuda-graph-sizes') {
    // One number is the largest size, several are the sizes.
    const several = String(value).includes(',');
    return { flag: several ? '--cudagraph-capture-sizes' : '--max-cudagraph-capture-size', value, written };
  }
  return option;
}

function isLevelZero(text: string): boolean {
  try {
    const { level, mode } = JSON.parse(text) as { level?: unknown; mode?: unknown };
    return level === 0 || mode === 0;
  } catch {
    return false;
  }
}

const speculativeFlags = new Set(['--speculative-model', '--num-speculative-tokens']);

/** --speculative-model and --num-speculative-tokens, up to 0.8. */
function speculation(options: readonly ReadOption[]): ReadOption | undefined {
  const stated = (name: string): string | undefined => {
    const found = options.findLast(({ flag }) => flag === name)?.value;
    return typeof found === 'string' ? found : undefined;
  };
  const model = stated('--speculative-model');
  const tokens = stated('--num-speculative-tokens');
  if (model === undefined || tokens === undefined) return undefined;
  const named = /^\[?ngram\]?$/.test(model) ? { method: 'ngram' } : { model };
  const config = JSON.stringify({ ...named, num_speculative_tokens: Number(tokens) });
  return { flag: '--speculative-config', value: config, written: '--speculative-model' };
}
