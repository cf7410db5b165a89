// Resolves --deployment: the id of a shipped one, or a YAML file of the user's own with the same keys.
import { basename } from 'node:path';
import { InputError, inputError } from '../diagnostics.ts';
import type { DeploymentPreset } from '../spec/deployment.ts';
import { type LoadContext, readText } from './context.ts';
import { nearestNames, printable } from './names.ts';
import { loadPresets } from './presets.ts';

const option = '--deployment';
/** A file of one's own need not say more than what runs where. */
type OwnDeployment = Partial<DeploymentPreset> & Pick<DeploymentPreset, 'model' | 'gpu'>;
const unsaid = { description: '', intent: '', fits: true, sources: [] };

export async function resolveDeployment(ref: string, context: LoadContext): Promise<DeploymentPreset> {
  const word = ref.trim();
  if (/\.ya?ml$/i.test(word) || word === '-' || /[\\/]/.test(word)) return readDeployment(word, context);
  return findDeployment(word, option);
}

/** A shipped deployment by its id, or by what only its id ends with (rtx4090_24gb); `path` names where the word comes from. */
export function findDeployment(ref: string, path?: string): DeploymentPreset {
  const presets = loadPresets('deployments');
  const word = ref.trim().toLowerCase().replaceAll('_', '-');
  const found = presets.find(({ id }) => id === word);
  if (found) return found;
  const ending = word === '' ? [] : presets.filter(({ id }) => id.endsWith(`-${word}`));
  if (ending.length === 1) return ending[0]!;
  const ids = presets.map(({ id }) => id);
  const near = nearestNames(ref, ids, 1)[0];
  throw inputError('VRAM170', `there is no deployment ${JSON.stringify(printable(ref))}`, {
    hint: near ? `did you mean ${near}? (vram list deployments)` : 'vram list deployments shows them',
    ...(path === undefined ? {} : { path }),
  });
}

async function readDeployment(file: string, context: LoadContext): Promise<DeploymentPreset> {
  const text = readText(file, context, option);
  const [{ parseYaml }, { deploymentSchema }] = await Promise.all([import('./yaml.ts'), import('../spec/schema.ts')]);
  const { value, diagnostics } = parseYaml<OwnDeployment>(text, file, deploymentSchema);
  if (value === undefined) throw new InputError(diagnostics);
  const id = value.id ?? basename(file).replace(/\.ya?ml$/i, '');
  return { ...unsaid, name: id, ...value, id };
}
