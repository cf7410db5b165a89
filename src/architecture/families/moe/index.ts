// Mixture-of-experts and MLA decoders: model_type -> family.
import type { ArchitectureFamily } from '../../types.ts';
import { deepseekV4 } from './deepseek-v4.ts';
import { gptOss } from './gpt-oss.ts';
import { dbrx, graniteMoe } from './granite-dbrx.ts';
import { llama4Text } from './llama4.ts';
import { mimoV2Flash } from './mimo.ts';
import { minicpm3 } from './minicpm3.ts';
import { minimaxM1 } from './minimax.ts';
import { deepseekV2, glm4MoeLite } from './mla.ts';
import {
  deepseekMoe,
  ernie45Moe,
  glm4Moe,
  hunyuanV1Moe,
  minimaxM2,
  mixtral,
  olmoe,
  phimoe,
  qwen2Moe,
  qwen3Moe,
} from './plain.ts';

export const moeFamilies: Readonly<Record<string, ArchitectureFamily>> = {
  mixtral,
  phimoe,
  qwen2_moe: qwen2Moe,
  qwen3_moe: (spec) => qwen3Moe(spec),
  olmoe,
  granitemoe: graniteMoe,
  dbrx,
  ernie4_5_moe: ernie45Moe,
  hunyuan_v1_moe: hunyuanV1Moe,
  gpt_oss: gptOss,
  llama4_text: (spec) => llama4Text(spec),
  minimax_m1: minimaxM1,
  minimax_m2: minimaxM2,
  glm4_moe: glm4Moe,
  glm4_moe_lite: glm4MoeLite,
  glm_moe_dsa: deepseekV2,
  mimo_v2_flash: mimoV2Flash,
  deepseek: deepseekMoe,
  deepseek_v2: deepseekV2,
  deepseek_v3: deepseekV2,
  deepseek_v32: deepseekV2,
  deepseek_v4: deepseekV4,
  kimi_k2: deepseekV2,
  minicpm3,
};
