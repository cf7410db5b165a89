// Resolves --for: a scenario that ships, by its id or any of its names, loosely written, or a YAML file of the user's own.
import { InputError, inputError } from '../diagnostics.ts';
import type { ScenarioPreset } from '../spec/scenario.ts';
import { type LoadContext, readText } from './context.ts';
import { looseKey, nearestNames, printable } from './names.ts';
import { loadPresets } from './presets.ts';

const option = '--for';

export async function resolveScenario(ref: string, context: LoadContext): Promise<ScenarioPreset> {
  const word = ref.trim();
  if (!/\.ya?ml$/i.test(word)) return findScenario(word, option);
  const text = readText(word, context, option);
  const [{ parseYaml }, { scenarioSchema }] = await Promise.all([import('./yaml.ts'), import('../spec/schema.ts')]);
  const { value, diagnostics } = parseYaml<ScenarioPreset>(text, word, scenarioSchema);
  if (value === undefined) throw new InputError(diagnostics);
  return value;
}

/** A shipped scenario: "single consumer GPU" is single-consumer-gpu. Throws InputError VRAM715. */
export function findScenario(ref: string, path?: string): ScenarioPreset {
  const presets = loadPresets('scenarios');
  const key = looseKey(ref);
  const namesOf = ({ id, name, aliases = [] }: ScenarioPreset): string[] => [id, name, ...aliases];
  const exact = presets.find((preset) => namesOf(preset).some((name) => looseKey(name) === key));
  if (exact) return exact;
  const starting = presets.filter(
    (preset) => key.length >= 3 && namesOf(preset).some((name) => looseKey(name).startsWith(key)),
  );
  if (starting.length === 1) return starting[0]!;
  const ids = presets.map(({ id }) => id);
  const near = nearestNames(ref, ids, 1)[0];
  throw inputError('VRAM715', `there is no scenario ${JSON.stringify(printable(ref))}`, {
    hint: near ? `did you mean ${near}? (vram list scenarios)` : `scenarios: ${ids.join(', ')}`,
    ...(path === undefined ? {} : { path }),
  });
}
