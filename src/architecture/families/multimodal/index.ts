// Models with an encoder tower: a text family plus vision or audio tensors: model_type -> family.
import type { ArchitectureFamily } from '../../types.ts';
import { gemma4, gemma4Unified } from './gemma4.ts';
import {
  exaone45,
  gemma3,
  glm4v,
  internvl,
  llava,
  llavaNext,
  mistral3,
  paligemma,
  phi3Vision,
  qwen2Vl,
  qwen25Vl,
} from './images.ts';
import { glm4vMoe, kimiK3, kimiK25, kimiVl, llama4, minimaxM3, qwen3VlMoe } from './mixtures.ts';
import { mllama } from './mllama.ts';
import { molmo } from './molmo.ts';
import { qwen3Vl, qwen35, qwen35Moe } from './qwen3.ts';

export const multimodalFamilies: Readonly<Record<string, ArchitectureFamily>> = {
  exaone4_5: exaone45,
  gemma3,
  gemma4,
  gemma4_unified: gemma4Unified,
  glm4v,
  glm4v_moe: glm4vMoe,
  internvl_chat: internvl,
  kimi_k25: kimiK25,
  kimi_k3: kimiK3,
  kimi_vl: kimiVl,
  llama4,
  llava,
  llava_next: llavaNext,
  minimax_m3_vl: minimaxM3,
  mistral3,
  mllama,
  molmo,
  paligemma,
  phi3_v: phi3Vision,
  qwen2_5_vl: qwen25Vl,
  qwen2_vl: qwen2Vl,
  qwen3_5: qwen35,
  qwen3_5_moe: qwen35Moe,
  qwen3_vl: qwen3Vl,
  qwen3_vl_moe: qwen3VlMoe,
};
