// Makes a ModelSpec from a Hugging Face config.json, or from a YAML spec of ours. Numbers are checked here, so that no family
// ever sees zero heads; a missing architecture class is taken from the presets of the same model_type, and said so.
import { type Diagnostic, InputError } from '../diagnostics.ts';
import type { JsonObject, ModelSpec } from '../spec/model.ts';
import { modelSpecFromConfig } from '../spec/normalize.ts';
import { expandModel } from '../spec/runs.ts';
import { sizeProblems } from './check-sizes.ts';
import { parseJsonObject } from './json.ts';
import { printable } from './names.ts';
import { modelTypeFacts } from './presets.ts';

export interface LoadedSpec {
  spec: ModelSpec;
  diagnostics: Diagnostic[];
}

/** Text of a config.json -> spec; `quantText` is hf_quant_config.json of the same repository. */
export async function specFromConfigText(
  text: string,
  file: string,
  options: { id: string; quantText?: string; quantFile?: string },
): Promise<LoadedSpec> {
  const source = parseJsonObject(text, file);
  if (!looksLikeConfig(source)) {
    throw refuse(file, 'this is no model configuration: it has neither model_type nor architectures');
  }
  const normalized = modelSpecFromConfig(safeId(options.id), source);
  await checkConfig(normalized.config, file);
  const diagnostics: Diagnostic[] = [];
  let { architecture } = normalized;
  if (architecture === undefined) {
    architecture = modelTypeFacts(normalized.modelType)?.architecture ?? 'unknown';
    diagnostics.push({
      severity: 'note',
      code: 'VRAM115',
      message: `the configuration names no architecture class; taken as ${architecture} from model_type ${printable(normalized.modelType)}`,
      path: file,
    });
  }
  const spec: ModelSpec = { ...normalized, architecture, source: printable(file, 300) };
  await refuseBadSizes(spec, file);
  const named = source._name_or_path;
  if (typeof named === 'string' && /^[\w.-]+\/[\w.-]+$/.test(named)) spec.hfId = named;
  if (!spec.quantization && options.quantText !== undefined) {
    spec.quantization = modeloptQuantization(parseJsonObject(options.quantText, options.quantFile ?? file));
  }
  return { spec, diagnostics };
}

/** Text of a YAML spec of ours (the shape of presets/models) -> spec. */
export async function specFromYaml(text: string, file: string): Promise<LoadedSpec> {
  const [{ parseYaml }, { modelSchema }] = await Promise.all([import('./yaml.ts'), import('../spec/schema.ts')]);
  const { value, diagnostics } = parseYaml<ModelSpec>(text, printable(file, 300), modelSchema);
  if (value === undefined) throw new InputError(diagnostics);
  const spec = expandModel(value);
  await refuseBadSizes(spec, file);
  return { spec, diagnostics: [] };
}

async function refuseBadSizes(spec: ModelSpec, file: string): Promise<void> {
  const problems = sizeProblems(spec, file);
  if (problems.length > 0) throw new InputError(problems);
  const { checkExpansion } = await import('./check-expansion.ts');
  checkExpansion(spec, file);
}

function looksLikeConfig(source: JsonObject): boolean {
  return typeof source.model_type === 'string' || Array.isArray(source.architectures);
}

async function checkConfig(config: object, file: string): Promise<void> {
  const [{ issuesToDiagnostics }, { looseConfigSchema }] = await Promise.all([
    import('./yaml.ts'),
    import('../spec/schema.ts'),
  ]);
  const result = looseConfigSchema.safeParse(config);
  if (result.success) return;
  throw new InputError(issuesToDiagnostics(result.error.issues, looseConfigSchema, () => printable(file, 300)));
}

/** hf_quant_config.json of ModelOptimizer: { quantization: { quant_algo, group_size, exclude_modules, ... } }. */
function modeloptQuantization(source: JsonObject): ModelSpec['quantization'] {
  const fields = source.quantization;
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return undefined;
  return {
    method: 'modelopt',
    ...(fields.quant_algo ? { quantAlgo: fields.quant_algo } : {}),
    ...(fields.group_size ? { groupSize: fields.group_size } : {}),
    ...(fields.kv_cache_quant_algo ? { kvCacheQuantAlgo: fields.kv_cache_quant_algo } : {}),
    ...(fields.exclude_modules ? { excludeModules: fields.exclude_modules } : {}),
  };
}

export function safeId(text: string): string {
  return (
    text
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, '-')
      .replace(/^[^a-z0-9]+/, '')
      .slice(0, 100) || 'model'
  );
}

function refuse(file: string, message: string): InputError {
  return new InputError([
    { severity: 'error', code: 'VRAM113', message: `${printable(file)}: ${message}`, path: printable(file) },
  ]);
}
