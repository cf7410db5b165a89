// A model's hyperparameters as one build reads them: what the file states and an older build does not look at yet is left out.
// Law: src/llama-model.cpp (load_hparams, llama_model_rope_type) of the read builds, as data in presets/engines/llamacpp/kv.yaml.
import type { GgufModel } from '../../spec/gguf.ts';
import type { LlamaHparams } from './hparams.ts';
import { readHparams } from './read-hparams.ts';
import type { LlamaRules } from './rules.ts';

interface ReadingRules {
  /** Architectures whose sliding window is not read: every block attends to all. */
  'hparams.slidingUnread': readonly string[];
  /** ... where the file has blocks of multi-token prediction: the blocks are counted before those are taken off. */
  'hparams.slidingUnreadWithDrafts': readonly string[];
  /** Architectures whose rope.dimension_sections are not read: a position is one number. */
  'hparams.sectionsUnread': readonly string[];
}

export function hparamsIn(model: GgufModel, rules: LlamaRules): LlamaHparams {
  const hparams = readHparams(model);
  const law = rules as unknown as ReadingRules;
  const { architecture } = hparams;
  const drafts = hparams.nextnLayers > 0 && law['hparams.slidingUnreadWithDrafts'].includes(architecture);
  return {
    ...hparams,
    ...((drafts || law['hparams.slidingUnread'].includes(architecture)) && {
      sliding: hparams.sliding.map(() => false),
      window: 0,
    }),
    ...(law['hparams.sectionsUnread'].includes(architecture) && { mrope: false }),
  };
}
