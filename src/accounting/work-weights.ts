// Which matrices a scheme stores quantized and how many bytes one of their values takes, scales included: enough to time the
// reading of weights. Exact layouts, padding and the exceptions of single releases are in engines/<id>.
import type { TensorGroup } from '../architecture/types.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';

/** Linear layers are, routers and (unless the scheme says so) the head are not, nor what its ignore list names. */
export function isStoredQuantized(group: TensorGroup, scheme: QuantizationScheme | undefined, moe: boolean): boolean {
  if (!scheme || scheme.format === 'none' || group.shape.length < 2) return false;
  const isExpert = group.experts !== undefined;
  if (!isExpert && (group.linear !== true || scheme.expertsOnly || group.role === 'router')) return false;
  if (group.role === 'lm-head' && scheme.head !== true) return false;
  const name = sampleName(group);
  const ignore = moe ? [...scheme.ignore, ...(scheme.ignoreWithExperts ?? [])] : scheme.ignore;
  return !ignore.some((entry) => matches(name, entry));
}

/** Bits of the value plus its part of the group's scale (and zero point). */
export function quantizedBytesPerValue(scheme: QuantizationScheme, of: 'linear' | 'experts' = 'linear'): number {
  const format = of === 'experts' ? (scheme.expertFormat ?? scheme.format) : scheme.format;
  const stated = format === scheme.format ? scheme.bitsPerWeight : undefined;
  if (stated !== undefined) return stated / 8;
  if (format === 'mxfp4') return 0.5 + 1 / 32;
  if (format === 'mxfp8') return 1 + 1 / 32;
  if (format === 'nvfp4') return 0.5 + 1 / (scheme.group ?? 16);
  const scale = scheme.group && scheme.group > 0 ? (2 + (scheme.zeroPoints ? scheme.bits / 8 : 0)) / scheme.group : 0;
  return scheme.bits / 8 + scale;
}

/** The matrix in a layer from the middle: ignore lists often except the first and the last ones. */
function sampleName({ name, layers }: TensorGroup): string {
  const layer = layers?.[layers.length >> 1];
  return name
    .replace(/\.weight$/, '')
    .replaceAll('{layer}', `${layer ?? 0}`)
    .replaceAll('{expert}', '0');
}

function matches(name: string, entry: string): boolean {
  if (entry.startsWith('re:')) return new RegExp(`^(?:${entry.slice(3)})`).test(name);
  if (entry.includes('*')) {
    const escaped = entry.replace(/[.+^${}()|[\]\\?]/g, '\\$&').replaceAll('*', '.*');
    return new RegExp(`^${escaped}$`).test(name);
  }
  return name === entry || name.endsWith(`.${entry}`) || name.startsWith(`${entry}.`) || name.includes(`.${entry}.`);
}
