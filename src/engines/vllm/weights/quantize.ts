// Which modules a scheme quantizes. Ignore lists are compared with module names the way each method does it
// (vLLM quantization/utils/quant_utils.py is_layer_skipped, compressed_tensors/utils.py, modelopt.py); what a model class
// builds without a quantization configuration is data (weights.plainModules, weights.quantizedRouters).
import type { QuantizationScheme } from '../../../spec/quantization.ts';
import type { WeightRules } from './rules.ts';
import type { ExpertsModule, LinearModule } from './types.ts';

export interface QuantizeContext {
  scheme: QuantizationScheme | undefined;
  architecture: string;
  /** The model has routed experts. */
  moe: boolean;
  rules: Partial<WeightRules>;
}

export function isQuantized(module: LinearModule | ExpertsModule, context: QuantizeContext): boolean {
  const { scheme } = context;
  if (!scheme || scheme.format === 'none') return false;
  if (module.kind === 'experts') return !ignored(module, context);
  if (scheme.expertsOnly) return false;
  const role = module.members[0]?.role;
  if (role === 'lm-head') return scheme.head === true && !ignored(module, context);
  if (role === 'router') {
    if (!context.rules['weights.quantizedRouters']?.includes(context.architecture)) return false;
  } else if (!module.quantizable) return false;
  if (isPlainModule(module, context)) return false;
  return !ignored(module, context);
}

function isPlainModule(module: LinearModule, { architecture, rules }: QuantizeContext): boolean {
  const patterns = rules['weights.plainModules']?.[architecture];
  return patterns?.some((pattern) => expression(pattern).test(module.name)) ?? false;
}

const verdicts = new WeakMap<QuantizationScheme, Map<string, boolean>>();

/** Ignore lists are long and modules many: one verdict per scheme and module name, whatever the model. */
function ignored(module: LinearModule | ExpertsModule, context: QuantizeContext): boolean {
  const scheme = context.scheme!;
  let known = verdicts.get(scheme);
  if (!known) {
    known = new Map();
    verdicts.set(scheme, known);
  }
  const key = `${context.moe} ${module.name} ${module.members.map((member) => member.name).join(' ')}`;
  let verdict = known.get(key);
  if (verdict === undefined) {
    verdict = inIgnoreList(module, context);
    known.set(key, verdict);
  }
  return verdict;
}

function inIgnoreList(module: LinearModule | ExpertsModule, context: QuantizeContext): boolean {
  const scheme = context.scheme!;
  const ignore = context.moe ? [...scheme.ignore, ...(scheme.ignoreWithExperts ?? [])] : scheme.ignore;
  const names = [module.name, ...module.members.map((member) => member.name)];
  if (scheme.only && !names.some((name) => scheme.only!.some((part) => name.includes(part)))) return true;
  switch (scheme.match) {
    case 'exact':
      return names.some((name) => ignore.includes(name));
    case 'substring':
      return names.slice(1).some((name) => ignore.some((part) => name.includes(part)));
    case 'modules':
      return names.some((name) => ignore.some((entry) => underModule(name, entry)));
    case 'components':
      return names.some((name) => ignore.some((entry) => name.split('.').includes(entry) || underPrefix(name, entry)));
    case 'regex':
      return names.slice(1).some((name) => ignore.some((entry) => matchesTarget(name, entry)));
    case 'glob':
      return names.some((name) => ignore.some((entry) => matchesGlob(name, entry)));
  }
}

/** The module itself, one below it, or one whose path ends with the entry. */
function underModule(name: string, entry: string): boolean {
  return name === entry || name.endsWith(`.${entry}`) || name.startsWith(`${entry}.`) || name.includes(`.${entry}.`);
}

/** The module itself or one below it, from the top. */
function underPrefix(name: string, entry: string): boolean {
  return name === entry || name.startsWith(`${entry}.`);
}

/** compressed-tensors: an exact name, or "re:" and an expression that matches from the start. */
function matchesTarget(name: string, entry: string): boolean {
  if (entry.startsWith('re:')) return expression(`^(?:${entry.slice(3)})`).test(name);
  return underModule(name, entry);
}

/** ModelOpt: a wildcard over the whole name, or a plain part of it. */
function matchesGlob(name: string, entry: string): boolean {
  if (!entry.includes('*')) return name.includes(entry);
  const escaped = entry.replace(/[.+^${}()|[\]\\?]/g, '\\$&').replaceAll('*', '.*');
  return expression(`^${escaped}$`).test(name) || (entry.endsWith('*') && name.startsWith(entry.slice(0, -1)));
}

const expressions = new Map<string, RegExp>();

function expression(source: string): RegExp {
  let compiled = expressions.get(source);
  if (!compiled) {
    compiled = new RegExp(source);
    expressions.set(source, compiled);
  }
  return compiled;
}
