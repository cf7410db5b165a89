// Decoders with recurrent state (Mamba, gated delta net, KDA, short conv) and their hybrids: model_type -> family. Text parts
// of multimodal checkpoints (Qwen3.5, Kimi-K3) are exported for the families that add the tower.
import type { ArchitectureFamily } from '../../types.ts';
import { bamba } from './bamba.ts';
import { falconH1 } from './falcon-h1.ts';
import { graniteMoeHybrid } from './granite-hybrid.ts';
import { jamba } from './jamba.ts';
import { kimiLinear } from './kimi.ts';
import { lfm2, lfm2Moe } from './lfm2.ts';
import { falconMamba, mamba } from './mamba.ts';
import { mamba2 } from './mamba2.ts';
import { nemotronH } from './nemotron-h.ts';
import { qwen3Next, qwen35MoeText, qwen35Text } from './qwen3-next.ts';

export { kimiLinear as kimiK3Text, qwen35MoeText, qwen35Text };

export const stateFamilies: Readonly<Record<string, ArchitectureFamily>> = {
  mamba,
  mamba2,
  falcon_mamba: falconMamba,
  jamba,
  bamba,
  falcon_h1: falconH1,
  granitemoehybrid: graniteMoeHybrid,
  nemotron_h: nemotronH,
  qwen3_next: qwen3Next,
  qwen3_5_text: qwen35Text,
  qwen3_5_moe_text: qwen35MoeText,
  lfm2,
  lfm2_moe: lfm2Moe,
  kimi_linear: kimiLinear,
};
