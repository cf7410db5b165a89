// A recipe in the words of llm-compressor: modifiers with config groups, whose targets are regular expressions on module names, and
// an ignore list. compressed-tensors sorts targets by their text and takes the first that matches, so that no module may match two
// groups. Law: compressed_tensors/utils/match.py (re.match: from the start, not to the end), llmcompressor/recipe/recipe.py.
import type { Architecture, TensorGroup } from '../../architecture/types.ts';
import { layerPattern } from './layers.ts';
import { compressedTensorsSchemes, compressorModifiers, illegalArgs, type QuantizationArgs } from './legal.ts';
import {
  isCandidate,
  isExperts,
  linearGroups,
  loadedTensors,
  matchesTarget,
  matricesOf,
  modulePaths,
  plainBytes,
} from './matrices.ts';
import { schemeBytes, schemeFields } from './schemes.ts';
import type { ConfigGroup, LlmCompressorRecipe, ModuleScheme } from './types.ts';

interface Assigned {
  group: TensorGroup;
  layer: number;
  scheme: ModuleScheme;
}

/** One config group for each scheme; modules of the same layers share a target. */
export function configGroups(assigned: readonly Assigned[]): ConfigGroup[] {
  const places = new Map<string, { stack: string; all: Set<number>; byScheme: Map<ModuleScheme, Set<number>> }>();
  for (const { group, layer, scheme } of assigned) {
    const [before = '', after = ''] = group.name.split('{layer}.');
    const stack = before.split('.').at(-2) ?? '';
    const rest = isExperts(group) ? expertsTarget : escaped(after.replace(/\.weight$/, ''));
    const key = `${stack} ${rest}`;
    const place = places.get(key) ?? { stack, all: new Set(), byScheme: new Map() };
    places.set(key, place);
    place.all.add(layer);
    place.byScheme.set(scheme, (place.byScheme.get(scheme) ?? new Set()).add(layer));
  }
  const targets = new Map<string, { scheme: ModuleScheme; head: string; rests: string[] }>();
  for (const [key, { stack, all, byScheme }] of places) {
    const rest = key.slice(stack.length + 1);
    for (const [scheme, set] of byScheme) {
      const layers = [...set].sort((a, b) => a - b);
      const where = layers.length === all.size ? '[0-9]+' : layerPattern(layers);
      const head = `(.*\\.)?${escaped(stack)}\\.${where}\\.`;
      const known = targets.get(`${scheme} ${head}`);
      if (known) known.rests.push(rest);
      else targets.set(`${scheme} ${head}`, { scheme, head, rests: [rest] });
    }
  }
  const groups = new Map<ModuleScheme, string[]>();
  for (const { scheme, head, rests } of targets.values()) {
    const target = `re:${head}${rests.length === 1 ? rests[0] : `(${rests.join('|')})`}$`;
    groups.set(scheme, [...(groups.get(scheme) ?? []), target]);
  }
  return (['w4a16', 'w8a16', 'fp8'] as const).flatMap((scheme) => {
    const found = groups.get(scheme);
    return found ? [{ scheme, targets: found }] : [];
  });
}

/** Whatever the experts of a model are called: transformers renames some (Mixtral's w1, w2, w3), vLLM asks for gate_proj. */
const expertsTarget = '(.*\\.)?experts\\.[0-9]+\\.[a-z0-9_]+';

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** The scheme of a module under a recipe: none where the ignore list names it or no group does; more than one is a fault. */
function schemesOf(recipe: Pick<LlmCompressorRecipe, 'configGroups' | 'ignore'>, name: string): ModuleScheme[] {
  if (recipe.ignore.some((entry) => matchesTarget(entry, name))) return ['bf16'];
  const found = recipe.configGroups.filter(({ targets }) => targets.some((target) => matchesTarget(target, name)));
  return found.length === 0 ? ['bf16'] : found.map(({ scheme }) => scheme);
}

/** Bytes of the checkpoint that the recipe makes: every linear module of the model by the scheme that its name gets. */
export function bytesUnder(
  recipe: Pick<LlmCompressorRecipe, 'configGroups' | 'ignore'>,
  architecture: Architecture,
): number {
  return loadedTensors(architecture).reduce((sum, group) => {
    if (!group.linear || group.shape.length !== 2) return sum + plainBytes(group);
    const layers = group.layers ?? [0];
    const plain = plainBytes(group) / layers.length;
    return layers.reduce((all, layer) => {
      const scheme = schemesOf(recipe, modulePaths(group, layer)[0]!)[0]!;
      return all + (scheme === 'bf16' ? plain : schemeBytes(scheme, matricesOf(group)));
    }, sum);
  }, 0);
}

/** What llm-compressor, compressed-tensors or vLLM would refuse. */
export function illegalRecipe(
  recipe: Pick<LlmCompressorRecipe, 'configGroups' | 'ignore'>,
  architecture: Architecture,
): string[] {
  const wrong: string[] = [];
  for (const { scheme, targets } of recipe.configGroups) {
    const { preset, modifier, weights, inputActivations } = schemeFields[scheme];
    if (!compressedTensorsSchemes.includes(preset)) wrong.push(`no scheme ${preset}`);
    if (!compressorModifiers.includes(modifier)) wrong.push(`no modifier ${modifier}`);
    wrong.push(...illegalArgs(weights), ...(inputActivations ? illegalArgs(inputActivations) : []));
    for (const target of targets) if (!target.startsWith('re:')) wrong.push(`target ${target}`);
  }
  const merged = new Map<string, { scheme: ModuleScheme; name: string }>();
  for (const group of linearGroups(architecture)) {
    for (const layer of group.layers ?? [0]) {
      for (const name of modulePaths(group, layer)) {
        const [scheme, ...more] = schemesOf(recipe, name);
        if (more.length > 0) wrong.push(`${name} is in two groups`);
        if (scheme === 'bf16') continue;
        if (!isCandidate(group)) wrong.push(`${name} is in a group`);
        if (
          schemeFields[scheme!].weights.strategy === 'group' &&
          group.shape[1]! % schemeFields[scheme!].weights.group_size! !== 0
        )
          wrong.push(`${name}: ${group.shape[1]} inputs are no whole groups`);
      }
      const together = isExperts(group) ? 'experts' : group.merge;
      if (!together) continue;
      const [name] = modulePaths(group, layer);
      const scheme = schemesOf(recipe, name!)[0]!;
      const first = merged.get(`${layer} ${together}`);
      if (!first) merged.set(`${layer} ${together}`, { scheme, name: name! });
      else if (first.scheme !== scheme) wrong.push(`${first.name} and ${name} are one matrix and have two schemes`);
    }
  }
  return wrong;
}

/** The recipe as YAML, for oneshot(recipe=...) or `llmcompressor`. */
export function compressorYaml(recipe: LlmCompressorRecipe): string {
  const modifiers = new Map<string, ConfigGroup[]>();
  for (const group of recipe.configGroups) {
    const { modifier } = schemeFields[group.scheme];
    modifiers.set(modifier, [...(modifiers.get(modifier) ?? []), group]);
  }
  const lines = ['quant_stage:', '  quant_modifiers:'];
  for (const [modifier, groups] of modifiers) {
    lines.push(
      `    ${modifier}:`,
      '      ignore:',
      ...recipe.ignore.map((entry) => `        - ${quoted(entry)}`),
      '      config_groups:',
    );
    groups.forEach(({ scheme, targets }, i) => {
      const { preset, weights, inputActivations } = schemeFields[scheme];
      lines.push(
        `        group_${i}:  # ${preset}`,
        '          targets:',
        ...targets.map((target) => `            - ${quoted(target)}`),
      );
      lines.push('          weights:', ...argumentLines(weights));
      if (inputActivations) lines.push('          input_activations:', ...argumentLines(inputActivations));
    });
  }
  if (modifiers.size === 0) return 'quant_stage:\n  quant_modifiers: {}\n';
  return `${lines.join('\n')}\n`;
}

function argumentLines(args: QuantizationArgs): string[] {
  return Object.entries(args).map(([key, value]) => `            ${key}: ${value}`);
}

/** Single quotes keep backslashes as they are. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
