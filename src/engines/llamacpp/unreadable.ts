// Files that a build refuses though it knows their architecture: types, tensors or metadata that its loader does not expect.
// Law: src/llama-model.cpp (load_hparams, load_tensors), src/llama-model-loader.cpp, as data in presets/engines/llamacpp/loader.yaml.
import type { GgufModel } from '../../spec/gguf.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaRules } from './rules.ts';

interface LoaderRules {
  'loader.unknownTypes': readonly string[];
  'loader.outputRequired': readonly string[];
  'loader.wideKeyNorms': readonly string[];
  'loader.yarnRequired': readonly string[];
  'loader.draftsUnknown': readonly string[];
}

const logMultiplier = 'rope.scaling.yarn_log_multiplier';

/** Why the file cannot be read, in the build's words; undefined: it can. */
export function unreadable(model: GgufModel, hparams: LlamaHparams, rules: LlamaRules): string | undefined {
  const law = rules as unknown as LoaderRules;
  const { architecture, metadata, tensors } = model;
  const alien = tensors.find(({ type }) => law['loader.unknownTypes'].includes(type));
  if (alien) return `tensor '${alien.name}' has invalid ggml type (${alien.type})`;
  const scaled = metadata['rope.scaling.type'] === 'yarn' || logMultiplier in metadata;
  if (law['loader.yarnRequired'].includes(architecture) && !scaled) {
    return `key not found in model: ${architecture}.${logMultiplier}`;
  }
  if (law['loader.outputRequired'].includes(architecture) && !tensors.some(({ name }) => name === 'output.weight')) {
    return "missing tensor 'output.weight'";
  }
  const norm = tensors.find(({ name }) => name === 'blk.0.attn_k_norm.weight');
  if (law['loader.wideKeyNorms'].includes(architecture) && norm && norm.ne[0] !== hparams.embd) {
    return `tensor '${norm.name}' has wrong shape; expected ${hparams.embd}, got ${norm.ne[0]}`;
  }
  if (law['loader.draftsUnknown'].includes(architecture) && hparams.nextnLayers > 0) {
    return 'done_getting_tensors: wrong number of tensors';
  }
  return undefined;
}
