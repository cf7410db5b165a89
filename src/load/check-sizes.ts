// Sizes that a configuration from outside must have before a family may read it: which ones is what all presets of the same
// model_type have. Shapes that contradict each other are refused here, with words, rather than deep in the arithmetic.
import type { Diagnostic } from '../diagnostics.ts';
import type { ModelSpec } from '../spec/model.ts';
import { printable } from './names.ts';
import { modelTypeFacts } from './presets.ts';

/** Our key -> the usual key of a config.json. */
const huggingFaceKeys: Readonly<Record<string, string>> = {
  layers: 'num_hidden_layers',
  heads: 'num_attention_heads',
  intermediateSize: 'intermediate_size',
};

const maxLayers = 10_000;

export function sizeProblems(spec: ModelSpec, file: string): Diagnostic[] {
  const { config, modelType } = spec;
  const required = modelTypeFacts(modelType)?.required ?? ['layers', 'heads'];
  const problems = required
    .filter((key) => config[key] === undefined)
    .map((key) => `config.${key} (${huggingFaceKeys[key] ?? key}) is required for model_type ${printable(modelType)}`);
  const { heads, kvHeads } = config;
  if (typeof heads === 'number' && typeof kvHeads === 'number' && heads % kvHeads !== 0) {
    problems.push(`${kvHeads} KV heads do not divide ${heads} heads`);
  }
  const { experts, expertsPerToken } = config;
  if (typeof experts === 'number' && typeof expertsPerToken === 'number' && expertsPerToken > experts) {
    problems.push(`expertsPerToken: a token cannot go to ${expertsPerToken} of ${experts} experts`);
  }
  for (const [key, value] of [config, config.vision ?? {}, config.audio ?? {}].flatMap((part) =>
    Object.entries(part),
  )) {
    if (/layers$|^depth$/i.test(key) && typeof value === 'number' && value > maxLayers)
      problems.push(`${key}: is larger than anything plausible (limit ${maxLayers})`);
    if (/length$|^nPositions$/i.test(key) && typeof value === 'number' && value < 1)
      problems.push(`${key}: must be at least 1`);
  }
  for (const text of [spec.architecture, modelType, spec.textModelType ?? '']) {
    if (printable(text, 200) !== text) problems.push(`"${printable(text)}" is no name of an architecture`);
  }
  return problems.map((message) => ({ severity: 'error', code: 'VRAM121', message, path: printable(file, 300) }));
}
