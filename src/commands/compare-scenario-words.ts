// A scenario as the command line that it stands for: its lists where none were given, its options of both engines with the load filled
// in. What was given goes before it.
import type { Io } from '../io.ts';
import { loadPresets } from '../load/presets.ts';
import { type Cells, cellOf } from '../plan/compare/cells.ts';
import { deploymentWords } from '../plan/deployment/words.ts';
import type { DeploymentPreset } from '../spec/deployment.ts';
import type { Json } from '../spec/model.ts';
import { findScheme } from '../spec/quantization.ts';
import { loadWords, type ScenarioLoad, type ScenarioPreset } from '../spec/scenario.ts';
import { parseCommand } from './command.ts';
import { type CompareArguments, compareCommand, readCompareArguments } from './compare-arguments.ts';
import { withLongNames } from './llama-arguments.ts';

export async function withScenario(
  args: CompareArguments,
  scenario: ScenarioPreset,
  load: ScenarioLoad,
  io: Io,
): Promise<CompareArguments> {
  const { consider, models, gpus } = scenario;
  const { given, llama } = await optionsOf(scenario, load, io);
  const list = (values: readonly (string | number)[] | undefined): string | undefined => values?.join(',');
  return {
    ...args,
    model: args.model ?? list(models),
    gpu: args.gpu ?? list(gpus),
    engine: args.engine ?? list(consider.engines),
    quantization: args.quantization ?? list(consider.quantizations),
    kvCacheDtype: args.kvCacheDtype ?? list(consider.kvCacheDtypes),
    tp: args.tp ?? list(consider.tp),
    pp: args.pp ?? list(consider.pp),
    dp: args.dp ?? list(consider.dp),
    context: String(load.promptTokens + load.outputTokens),
    concurrency: String(load.concurrency),
    outputTokens: load.outputTokens,
    given: { ...given, ...args.given },
    llama: { ...llama, ...args.llama },
  };
}

/** The engines' options, read as if they had been typed. */
async function optionsOf(
  { id, options = {} }: ScenarioPreset,
  load: ScenarioLoad,
  io: Io,
): Promise<Pick<CompareArguments, 'given' | 'llama'>> {
  const values = loadWords(load);
  const words = Object.entries(options).flatMap(([engine, own]) => {
    const filled = Object.entries(own).map(([name, value]) => [name, values.get(String(value)) ?? value] as const);
    const preset: Partial<DeploymentPreset> = {
      id,
      model: '-',
      gpu: '-',
      engine,
      options: Object.fromEntries(filled) as Record<string, Json>,
    };
    return deploymentWords(preset as DeploymentPreset, 'plan').slice(6);
  });
  const command = compareCommand(io);
  await parseCommand(command, withLongNames(words));
  const { given, llama } = readCompareArguments(command);
  return { given, llama };
}

/** What counts as one kind of deployment, of which one is enough: GPU, engine, how many bits weights and cache have. */
export function kindOf(cells: Cells): string {
  const text = (key: string): string => String(cellOf(cells, key));
  const engine = text('engine').replace(/@.*$/, '');
  const cache = /^(auto|bfloat16|float16|half|f16|bf16)$/.test(text('kvCacheDtype')) ? 16 : text('kvCacheDtype');
  return [text('gpu'), engine, bitsClass(text('quantization')), cache].join('/');
}

/** 16, 8, 6, 5, 4, ...: AWQ and GPTQ are one kind, and so are FP8 and INT8. */
function bitsClass(scheme: string): number {
  const bits = findScheme(loadPresets('quantizations'), scheme)?.bits;
  return bits === undefined ? 16 : Math.round(bits);
}
