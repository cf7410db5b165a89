// One case of vram-llamacpp-oracle/1: what a released llama.cpp allocated, or what its --fit decided, or that it refused.
import type { BufferKind } from '../../src/plan/types.ts';

export interface LlamaOracleCase {
  id: string;
  model: string;
  modelSlug: string | null;
  arch: string;
  scheme: string;
  build: string;
  gpus: number;
  flags: string;
  outputs: 'server' | 'batch';
  nLayer: number;
  nCtx?: number;
  nCtxSeq?: number;
  fa?: 'enabled' | 'disabled';
  /** Bytes by kind and place: gpu0.., pinned, cpu, repack. */
  bytes?: Partial<Record<BufferKind, Record<string, number>>>;
  /** MiB as printed, of buffers that are views of the mapped file. */
  mib?: Partial<Record<BufferKind, Record<string, number>>>;
  nodes?: number;
  splits?: string;
  copies?: number;
  error?: string;
  /** Free on every GPU, or on each. */
  freeMiB?: number | readonly number[];
  fit?: { status: string; nCtx: number; ngl: number | null; ts?: string; cpuMoeBlocks?: unknown; partial?: unknown };
}

export interface LlamaOracleFile {
  format: 'vram-llamacpp-oracle/1';
  cases: LlamaOracleCase[];
}
