// Dense decoders and encoder-only models: model_type (or architecture class, where a model_type is ambiguous) -> family.
import type { ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { bert, nomicBert, xlmRoberta } from './bert.ts';
import { cohere, cohere2 } from './cohere.ts';
import { eagle, eagle3 } from './eagle.ts';
import { exaone4 } from './exaone4.ts';
import { bloom, falcon, mpt } from './falcon.ts';
import { gemma, gemma2, gemma3Text } from './gemma.ts';
import { gemma4Text } from './gemma4.ts';
import { chatglm, glm, glm4 } from './glm.ts';
import { gpt2, gptBigcode, gptj, gptNeo, gptNeox } from './gpt.ts';
import { baichuan, exaone, granite, internlm2, llama, minicpm, orion, seedOss, smollm3, stablelm } from './llama.ts';
import { nemotronNas } from './nemotron-nas.ts';
import { olmo, olmo2, olmo3 } from './olmo.ts';
import { opt } from './opt.ts';
import type { TextOptions } from './parts.ts';
import { phi, phi3 } from './phi.ts';
import { mimo, qwen, qwen2, qwen3 } from './qwen.ts';
import { starcoder2 } from './starcoder2.ts';

/** A text family: wrappers pass the place of the decoder inside a larger model. */
export type TextFamily = (spec: ModelSpec, options?: TextOptions) => Architecture;

export const denseFamilies: Readonly<Record<string, TextFamily>> = {
  llama,
  mistral: llama,
  ministral: llama,
  ministral3: llama,
  internlm: llama,
  aquila: llama,
  granite,
  smollm3,
  seed_oss: seedOss,
  minicpm,
  orion,
  stablelm,
  baichuan,
  internlm2,
  exaone,
  ExaoneForCausalLM: exaone,
  exaone4,
  exaone4_5_text: exaone4,
  qwen,
  qwen2,
  qwen3,
  mimo,
  phi,
  'phi-msft': phi,
  phi3,
  gemma,
  gemma2,
  gemma3_text: gemma3Text,
  gemma4_text: gemma4Text,
  gemma4_unified_text: gemma4Text,
  olmo,
  olmo2,
  olmo3,
  glm,
  glm4,
  glm4v_text: glm4,
  chatglm,
  cohere,
  cohere2,
  starcoder2,
  gpt2,
  gptj,
  gpt_neo: gptNeo,
  gpt_neox: gptNeox,
  gpt_bigcode: gptBigcode,
  opt,
  bloom,
  falcon,
  RefinedWeb: falcon,
  RefinedWebModel: falcon,
  mpt,
  'nemotron-nas': nemotronNas,
  bert,
  'xlm-roberta': xlmRoberta,
  roberta: xlmRoberta,
  nomic_bert: nomicBert,
  eagle,
  eagle3,
  EagleLlamaForCausalLM: eagle,
  Eagle3LlamaForCausalLM: eagle3,
  LlamaForCausalLMEagle3: eagle3,
};

export { exaone4, gemma3Text, gemma4Text, glm4, phi3, qwen2, qwen3 };
