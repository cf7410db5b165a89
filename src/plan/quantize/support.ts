// What a GPU does with a number format under an engine: the laws of presets/hardware-formats.yaml, first match wins. And which
// releases of an engine have a scheme at all.
import type { GpuSpec, Vendor } from '../../spec/gpu.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';

export const hardwareLevels = ['native', 'weight-only', 'emulated', 'impossible', 'unknown'] as const;
export type HardwareLevel = (typeof hardwareLevels)[number];

export interface HardwareRule {
  vendor: Vendor;
  /** CUDA compute capabilities: at least, and below. */
  from?: string;
  below?: string;
  /** AMD targets, by prefix. */
  gfx?: readonly string[];
  /** First release of the engine. */
  since?: string;
  level: HardwareLevel;
  how: string;
  source?: string;
}

/** Engine -> law -> rules. */
export type HardwareLaws = Readonly<Record<string, Readonly<Record<string, readonly HardwareRule[]>>>>;

export interface HardwareSupport {
  level: HardwareLevel;
  how: string;
  source: string | null;
}

/** An engine as asked for; `atLeast` orders its releases. */
export interface EngineAt {
  id: 'vllm' | 'llama.cpp';
  version: string;
  atLeast(release: string): boolean;
}

export function hardwareSupport(
  laws: HardwareLaws,
  law: string | undefined,
  gpu: GpuSpec,
  engine: EngineAt,
): HardwareSupport {
  const rules = law === undefined ? undefined : laws[engine.id]?.[law];
  if (!rules) return { level: 'unknown', how: 'no law is known', source: null };
  const rule = rules.find((candidate) => applies(candidate, gpu, engine));
  if (rule) return { level: rule.level, how: rule.how, source: rule.source ?? null };
  return { level: 'impossible', how: absence(laws[engine.id]!, rules, gpu), source: null };
}

function applies({ vendor, from, below, gfx, since }: HardwareRule, gpu: GpuSpec, engine: EngineAt): boolean {
  if (vendor !== gpu.vendor) return false;
  const capability = gpu.computeCapability === undefined ? undefined : Number(gpu.computeCapability);
  if (from !== undefined && !(capability !== undefined && capability >= Number(from))) return false;
  if (below !== undefined && !(capability !== undefined && capability < Number(below))) return false;
  if (gfx && !gfx.some((prefix) => gpu.architecture?.includes(prefix))) return false;
  return since === undefined || engine.atLeast(since);
}

function absence(
  laws: Readonly<Record<string, readonly HardwareRule[]>>,
  rules: readonly HardwareRule[],
  gpu: GpuSpec,
): string {
  const own = rules.filter(({ vendor }) => vendor === gpu.vendor);
  if (own.length === 0) {
    const runs = Object.values(laws).some((law) => law.some(({ vendor }) => vendor === gpu.vendor));
    return `${runs ? 'it has no kernel for' : 'the engine does not run on'} GPUs of ${vendorNames[gpu.vendor]}`;
  }
  const least = own.map(({ from }) => from).filter((from) => from !== undefined);
  if (least.length > 0 && gpu.computeCapability !== undefined) {
    const lowest = least.reduce((a, b) => (Number(a) < Number(b) ? a : b));
    return `it needs compute capability ${lowest}, this GPU has ${gpu.computeCapability}`;
  }
  return `it has no kernel for ${gpu.architecture ?? gpu.name}`;
}

const vendorNames: Readonly<Record<Vendor, string>> = {
  nvidia: 'NVIDIA',
  amd: 'AMD',
  intel: 'Intel',
  apple: 'Apple',
  google: 'Google',
  habana: 'Habana',
  other: 'this maker',
};

export interface EngineSupport {
  engine: 'vllm' | 'llama.cpp';
  version: string;
  supported: boolean;
  since: string | null;
  until: string | null;
}

/** Whether this release has the scheme; `until` is the last release line with it. */
export function engineSupport(scheme: QuantizationScheme, engine: EngineAt): EngineSupport {
  const has = (scheme.engines ?? ['vllm']).includes(engine.id);
  const range = engine.id === 'vllm' ? scheme : (scheme.build ?? {});
  const since = (has && range.since) || null;
  const until = (has && range.until) || null;
  const begun = since === null || engine.atLeast(since);
  const over = until !== null && engine.atLeast(after(until));
  return { engine: engine.id, version: engine.version, supported: has && begun && !over, since, until };
}

/** The first release that `until` does not cover: the next minor line after 0.27, the next patch after 0.10.0. */
function after(until: string): string {
  const parts = until.split('.').map(Number);
  parts[parts.length - 1]! += 1;
  return parts.join('.');
}
