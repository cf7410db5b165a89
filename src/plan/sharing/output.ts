// The JSON envelope of `vram plan --pool`: what was asked (resolved), what each model gets under each policy, the diagnostics.
import type { Envelope } from '../output.ts';
import type { PoolPlan } from './types.ts';

/** A model of a pool file as it was resolved. */
export interface MemberEcho {
  id: string;
  model: string;
  parameters: number;
  /** A scheme, or the dtype of the weights. */
  quantization: string;
  engine: string;
  devices: number[];
  weights: string;
  priority: number;
  /** KV bytes over all its GPUs, as the file states them; null: no limit. */
  minBytes: number;
  maxBytes: number | null;
}

interface PoolInputEcho {
  pool: { file: string; name: string; policy: string; policies: string[]; loading: string | null };
  gpu: { name: string; count: number; totalBytes: number };
  models: MemberEcho[];
}

export type PoolOutput = Envelope<'plan', PoolInputEcho, PoolPlan>;
