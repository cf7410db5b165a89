// The JSON envelope of `vram plan --pool`: what was asked (resolved), what each model gets under each policy, the diagnostics.
import type { Envelope } from '../output.ts';
import type { PoolPlan } from './types.ts';

export interface PoolModelEcho {
  id: string;
  model: string;
  parameters: number;
  quantization: string;
  engine: string;
  devices: number[];
  weights: string;
  priority: number;
  minBytes: number;
  maxBytes: number | null;
}

export interface PoolInputEcho {
  pool: { file: string; name: string; policy: string; policies: string[]; loading: string | null };
  gpu: { name: string; count: number; totalBytes: number };
  models: PoolModelEcho[];
}

export type PoolOutput = Envelope<'plan', PoolInputEcho, PoolPlan>;
