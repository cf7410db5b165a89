// A deployment as words of a command line: what `vram plan --deployment` puts before the words that were typed, so that these win.
// Options are looked up in the table of the engine that the deployment names; an unknown one is refused by its name.
import { inputError } from '../../diagnostics.ts';
import type { DeploymentPreset } from '../../spec/deployment.ts';
import { engineOptionTable, longNames } from '../../spec/engine-options.ts';
import { llamaOptionTable } from '../../spec/llama-options.ts';
import type { Json } from '../../spec/model.ts';

/** Options that no command but `plan` has are left out for the others. */
export function deploymentWords(preset: DeploymentPreset, command: 'plan' | 'simulate'): string[] {
  const { requirement = {}, engine, quantization, environment = {} } = preset;
  const words = ['--model', preset.model, '--gpu', preset.gpu];
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) words.push(name, String(value));
  };
  add('--engine', engine);
  add('--quantization', quantization);
  add('--context', requirement.context);
  if (command === 'plan') add('--concurrency', requirement.concurrency);
  for (const [name, value] of Object.entries(preset.options ?? {})) words.push(...optionWords(preset, name, value));
  // vLLM's variables have no option here: they go into the request.
  if (command === 'plan' && isOllama(preset))
    for (const [name, value] of Object.entries(environment)) words.push('--env', `${name}=${value}`);
  return words;
}

/** The variables that vLLM reads. */
export function vllmEnvironment(preset: DeploymentPreset): Record<string, string> | undefined {
  const { engine = 'vllm', environment } = preset;
  return /^vllm\b/i.test(engine) ? environment : undefined;
}

function isOllama({ engine = '' }: DeploymentPreset): boolean {
  return /^ollama\b/i.test(engine);
}

/** Of several long names the first: the others, typed beside --deployment, are read after it. */
function optionWords(preset: DeploymentPreset, name: string, value: Json): string[] {
  const option = `--${name}`;
  const names = isVllm(preset)
    ? engineOptionTable.map((entry) => longNames(entry)).find((all) => all.includes(option))
    : llamaOptionTable.map(({ long }) => [...long]).find((all) => all.includes(option));
  if (names === undefined) {
    throw inputError('VRAM171', `the deployment ${preset.id} has an option that is not planned with: ${name}`, {
      hint: 'vram plan --help names them',
      path: `options.${name}`,
    });
  }
  const [first] = isVllm(preset) ? names : [names.includes(option) && name.startsWith('no-') ? option : names[0]];
  if (value === true) return [first!];
  if (value === false) return [`--no-${first!.slice(2)}`];
  if (Array.isArray(value)) return [first!, value.join(',')];
  return [first!, typeof value === 'object' ? JSON.stringify(value) : String(value)];
}

function isVllm({ engine = 'vllm' }: DeploymentPreset): boolean {
  return /^vllm\b/i.test(engine);
}
