// The answer of `vram quantize`: one row per scheme with what it stores, whether it fits, what it costs in quality, what the GPU and the
// engine make of it; the same for KV caches; and what is recommended. Renderers format it and never compute.
import type { Storage } from '../../accounting/storage.ts';
import type { Domain, Relation } from '../quality/book.ts';
import type { Confidence, FlagSuggestion } from '../types.ts';
import type { EngineSupport, HardwareSupport } from './support.ts';

export type EngineName = 'vllm' | 'llama.cpp';

/** A published figure, with where it was measured. */
export interface QualityNote {
  model: string;
  /** The model planned, its family, or another one. */
  relation: Relation;
  metric: string;
  metricName: string;
  metricShort: string;
  domain: Domain;
  value: number;
  baseline: number | null;
  lowerIsBetter: boolean;
  /** Share of the 16-bit figure lost; negative: measured better. */
  relativeLoss: number | null;
  imatrix: boolean;
  recipe: string | null;
  source: string;
  note: string | null;
}

export interface RowQuality extends QualityNote {
  /** The figure is of another scheme whose values are the same. */
  borrowed: { scheme: string; note: string } | null;
  /** The domain asked for was not measured; this figure is of another one. */
  domainMissing: boolean;
  /** The nearest figure of each other metric. */
  alsoMeasured: QualityNote[];
}

export interface KvCapacity {
  tokens: number;
  sequencesAtContext: number;
}

/** fits: it starts and holds the requirement; short: memory lacks; refused: the engine or the GPU cannot. */
export const rowStates = ['fits', 'short', 'refused'] as const;
export type RowState = (typeof rowStates)[number];

export interface QuantizeRow {
  scheme: string;
  name: string;
  /** The engine that it was planned for; null: none here serves it. */
  engine: EngineName | null;
  /** How the maker publishes the model. */
  published: boolean;
  storage: Omit<Storage, 'parameters'> & { confidence: Confidence };
  bitsPerWeight: number;
  weightBytesPerGpu: number;
  /** What activations are in on this GPU. */
  activations: string;
  kv: KvCapacity | null;
  state: RowState;
  fits: boolean;
  shortfallBytes: number;
  reason: string | null;
  confidence: Confidence;
  quality: RowQuality | null;
  hardware: HardwareSupport;
  engineSupport: EngineSupport[];
  /** Decode steps per second against 16 bit, by the bytes that a step moves. */
  decodeSpeedRatio: number | null;
  notes: string[];
}

export interface KvRow {
  engine: EngineName;
  scheme: string;
  name: string;
  bitsPerValue: number;
  /** Scheme of the weights that it was planned with. */
  weights: string;
  kv: KvCapacity | null;
  bytesPerToken: number | null;
  state: RowState;
  fits: boolean;
  reason: string | null;
  quality: RowQuality | null;
  /** native: attention computes in it; weight-only: it is unpacked. */
  hardware: HardwareSupport['level'];
  notes: string[];
}

export interface Recommendation {
  scheme: string;
  engine: EngineName;
  reason: string;
  /** What it changes against 16 bit. */
  change: string;
  command: string;
  flags: FlagSuggestion[];
  /** `vram plan` of the same deployment. */
  plan: string;
  /** The best of what was not chosen and why one might: the other engine's, or the fastest without a measurable loss. */
  alternatives: { scheme: string; engine: EngineName; reason: string }[];
}

export interface QuantizeResult {
  requirement: { context: number; concurrency: number; maxQualityLoss: number | null; domain: Domain | null };
  rows: QuantizeRow[];
  kvCache: KvRow[];
  recommendation: Recommendation | null;
  /** Why there is none. */
  noRecommendation: string | null;
}
