// The library: a plan from resolved specs, and the loaders that resolve them. The command line is built on nothing else.
export { expandArchitecture } from './architecture/index.ts';
export { tensorRows } from './architecture/listing.ts';
export type { Architecture, CacheLayout, TensorGroup } from './architecture/types.ts';
export { type Diagnostic, InputError, VramError } from './diagnostics.ts';
export { planVllm, type VllmPlanned } from './engines/vllm/plan.ts';
export { type EngineRef, resolveEngineRef } from './load/engine.ts';
export { vllmRegistry } from './load/flags.ts';
export { loadPresets, parseSize, resolveGpus, resolveModel } from './load/index.ts';
export type { PlanRequest } from './plan/request.ts';
export type { Plan } from './plan/types.ts';
export type { GpuSpec } from './spec/gpu.ts';
export type { ModelSpec } from './spec/model.ts';
export { defaultParallel, type EngineOptions } from './spec/options.ts';
export { findScheme, type QuantizationScheme, schemeOfCheckpoint } from './spec/quantization.ts';
